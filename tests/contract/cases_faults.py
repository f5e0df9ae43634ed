"""Recordings of errors that only a fault can bring about: the double's own words for them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.contract.recordings import Sample
from tests.contract.stage import Case, Play, Stage


def faulty(**fault: Any) -> Play:
    """Replays the request while the double answers it with a fault of the recorded status."""

    def play(stage: Stage, sample: Sample) -> httpx.Response:
        kind = urlsplit(sample.url).path.partition("/providers/")[2].partition("/")[0]
        path = f"/providers/{kind}/"
        number = stage.azure.fault(service="arm", path=path, status=sample.status, **fault)
        try:
            return stage.replay(sample)
        finally:
            stage.azure.clear_faults(number)

    return play


CASES = (
    Case("err-429-arm-gateway", faulty(retry_after=324)),
    Case("err-429-web-rp-lock", faulty()),
    Case("err-503-web-html", faulty()),
    Case("err-504-arm-gateway", faulty()),
)
