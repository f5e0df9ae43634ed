"""Responses as ARM and its resource providers send them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

ARM_JSON = "application/json; charset=utf-8"
WEB_JSON = "application/json"
"""Microsoft.Web sends no charset with a success; everything else does."""


def arm(status: int, body: Any, headers: Mapping[str, str] | None = None) -> Response:
    """JSON as ARM and most providers send it."""
    return _json(status, body, ARM_JSON, headers)


def web(body: Any, *, etag: str | None = None, status: int = 200) -> Response:
    """JSON as Microsoft.Web sends it; `etag` for operations that have one."""
    return _json(status, body, WEB_JSON, {"etag": etag} if etag else {})


def empty(status: int, headers: Mapping[str, str] | None = None) -> Response:
    """No body and `content-length: 0`."""
    return Response(status_code=status, headers=dict(headers or {}))


def _json(status: int, body: Any, kind: str, headers: Mapping[str, str] | None) -> Response:
    content = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
    return Response(content, status, {**(headers or {}), "content-type": kind})
