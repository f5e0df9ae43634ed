"""The session of the requests library for every call: no cookies, no password of ~/.netrc.

requests itself takes a password for each host from ~/.netrc (or $NETRC) or from the address, in
place of the Authorization header that is set (requests: "netrc Authentication").
"""

from __future__ import annotations

from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests

from azext_otelembed.connection_guard import GuardedAdapter

BODY_LIMIT = 1 << 20
"""Bytes of an answer with a token, which has some thousand."""
_PIECE = 64 << 10


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


class BodyTooLongError(requests.RequestException):
    """A body of more than `BODY_LIMIT` bytes."""


class BoundedSession(PlainSession):
    """Reads at most `BODY_LIMIT` bytes of a body, at once: for SDKs that would read any number."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Sends a request. Raises `BodyTooLongError` and the errors of requests."""
        response = super().send(request, **{**options, "stream": True})
        body = bytearray()
        with response:
            for piece in response.iter_content(_PIECE):
                body += piece
                if len(body) > BODY_LIMIT:
                    raise BodyTooLongError(response=response)
        response._content = bytes(body)
        return response


def _unchanged(request: Any) -> Any:
    return request
