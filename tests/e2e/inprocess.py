"""`az otelembed deploy` without az: the same flow, called in this process.

For tables of faults, where starting az for each row would cost most of the time. What az adds
(arguments, exit status, where messages go) is tested with the real one.
"""

from __future__ import annotations

import io
import re
import time
from dataclasses import dataclass, field
from typing import Any

from azure.core.credentials import AccessToken

from azext_otelembed.azure.session import Session
from azext_otelembed.azure.sites import SiteId
from azext_otelembed.console import Console
from azext_otelembed.errors import OtelembedError
from azext_otelembed.release.deploy import deploy as run
from azext_otelembed.verification.verdict_tracker import PACE
from tests.e2e.support import Cloud, Site, is_write
from tests.release.support import request_of


class Owner:
    """A credential that holds one token, the subscription's owner's unless another is given."""

    def __init__(self, token: str) -> None:
        self._token = AccessToken(token, int(time.time()) + 3600)

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        """The token, whatever is asked for."""
        return self._token


@dataclass(frozen=True, slots=True)
class Ended:
    """How a deploy ended: its result or its error, and everything that it said."""

    exit_status: int
    result: dict[str, Any] | None
    error: OtelembedError | None
    said: str
    seconds: float
    requests: list[dict[str, Any]] = field(repr=False)

    @property
    def writes(self) -> list[str]:
        """The requests for this site and its image that change something."""
        return [f"{r['method']} {r['path']}" for r in self.requests if is_write(r)]

    def show(self) -> str:
        """For a failed assertion."""
        asked = "\n".join(
            f"{r['service']} {r['method']} {r['path']}?{r['query']} → {r['status']}"
            for r in self.requests
        )
        return f"status {self.exit_status} after {self.seconds:.1f} s\n{self.said}\n{asked}"


def session(cloud: Cloud, token: str = "") -> Session:
    """The subscription's owner, or the caller of `token`."""
    local = cloud.local
    audience = "https://management.core.windows.net/"
    return Session(
        credential=Owner(token or local.token(audience)),
        subscription=local.subscription,
        tenant=local.tenant,
        arm_endpoint=local.management,
        arm_scope=f"{audience}/.default",
        acr_suffix="localhost",
        transport={"connection_verify": local.ca},
    )


def deploy(caller: Session, site: Site, **given: Any) -> Ended:
    """Deploy `site`. Arguments of `request_of` may be given; threads may do this at once."""
    stream = io.StringIO()
    console = Console(stream=stream)
    site_id = SiteId(caller.subscription, site.group, site.name, site.slot)
    before = site.cloud.mark()
    began = time.monotonic()
    outcome, error = None, None
    try:
        outcome = run(
            caller, site_id, request_of(**{"timeout": 120, "pace": PACE, **given}), console
        )
    except OtelembedError as raised:
        error = raised
        said = [console.with_state(raised.message), raised.recommendation or ""]
        stream.write("ERROR: " + "\n".join(said))
    seconds = time.monotonic() - began
    mine = re.compile(rf"/({site.name}|{site.group})(/|$)|^/oauth2/", re.IGNORECASE)
    asked = [r for r in site.cloud.requests(before) if mine.search(r["path"])]
    return Ended(
        exit_status=error.exit_status if error else outcome.exit_status if outcome else 1,
        result=outcome.result if outcome else None,
        error=error,
        said=stream.getvalue(),
        seconds=seconds,
        requests=asked,
    )
