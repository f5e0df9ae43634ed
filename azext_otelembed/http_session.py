"""The session of the requests library for every call: no cookies, no password of ~/.netrc.

requests itself takes a password for each host from ~/.netrc (or $NETRC) or from the address, in
place of the Authorization header that is set (requests: "netrc Authentication").
"""

from __future__ import annotations

from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests

from azext_otelembed.connection_guard import GuardedAdapter


class PlainSession(requests.Session):
    """Sends what it is given. Proxies and certificates come from the environment as usual.

    A `ConnectionGuard` can watch its connections.
    """

    def __init__(self) -> None:
        super().__init__()
        self.auth = _unchanged
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("https://", "http://"):
            self.mount(scheme, GuardedAdapter())

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """None: the pipelines follow redirects, and requests fails on invalid addresses."""
        return None


def _unchanged(request: Any) -> Any:
    return request
