"""A container log of which only the newest bytes are kept."""

from __future__ import annotations

import io
from typing import Any

import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter

from azext_otelembed.azure import sites
from azext_otelembed.azure.session import Session
from azext_otelembed.azure.sites import SiteClient, SiteId
from tests.release.support import Fixed


class Log(HTTPAdapter):
    """Answers each request with a log."""

    def __init__(self, log: bytes) -> None:
        super().__init__()
        self.log = log

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        """The log."""
        headers = {"Content-Type": "application/octet-stream"}
        answer = urllib3.HTTPResponse(
            io.BytesIO(self.log), headers, status=200, preload_content=False
        )
        return self.build_response(request, answer)


@pytest.mark.parametrize("most", [8192, 8193, 10_000])
def test_a_line_whose_beginning_is_gone_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(sites, "MOST_LOG", most)
    lines = [f"{number:04} token sk-demo-5f1e8b7c2a9d" for number in range(1000)]
    transport = requests.Session()
    transport.mount("https://", Log("\n".join(lines).encode()))
    session = Session(
        credential=Fixed("t"),  # type: ignore[arg-type]  # all that is used
        subscription="s",
        tenant="t",
        arm_endpoint="https://arm",
        arm_scope="https://arm/.default",
        acr_suffix="azurecr.io",
        transport={"session": transport, "session_owner": False},
    )
    kept = SiteClient(session, SiteId("s", "rg", "shop")).container_log().split("\n")
    assert 100 < len(kept) < 1000
    assert kept == lines[-len(kept) :]
