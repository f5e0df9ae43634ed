"""Ingestion of envelopes: one JSON object a line or an array, gzipped or not."""

from __future__ import annotations

import gzip
import json
import uuid
import zlib
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from localazure.double import Double
from localazure.state import Component

_HEADERS = {
    "access-control-allow-headers": (
        "Origin, X-Requested-With, Content-Name, Content-Type, Accept, Sdk-Context"
    ),
    "access-control-allow-origin": "*",
    "access-control-max-age": "3600",
    "content-type": "application/json; charset=utf-8",
    "strict-transport-security": "max-age=31536000",
    "x-content-type-options": "nosniff",
}


async def track(double: Double, request: Request) -> Response:
    """POST /v2.1/track: 200, 206 if some envelopes are refused, 400 if all are."""
    body = await request.body()
    try:
        if request.headers.get("content-encoding", "").lower() == "gzip":
            body = gzip.decompress(body)
        envelopes = parse(body)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        return _answer(1, [_error(0, f"Invalid payload: {error}")])
    known = {c.instrumentation_key.lower(): c for c in double.state.components.values()}
    errors = []
    for index, envelope in enumerate(envelopes):
        problem = _check(envelope, known)
        if problem:
            errors.append(_error(index, problem))
        else:
            double.telemetry.add(envelope["iKey"], envelope)
    return _answer(len(envelopes), errors)


def parse(body: bytes) -> list[Any]:
    """The envelopes of a body. Raises ValueError."""
    text = body.decode("utf-8-sig").strip()
    if text.startswith("["):
        envelopes: list[Any] = json.loads(text)
        return envelopes
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def _check(envelope: Any, known: dict[str, Component]) -> str | None:
    if not isinstance(envelope, dict) or not isinstance(envelope.get("data"), dict):
        return "Field 'data' on type 'Envelope' is required but missing or empty."
    if str(envelope.get("iKey", "")).lower() not in known:
        return "Invalid instrumentation key"
    return None if envelope.get("time") else "Field 'time' on type 'Envelope' is required."


def _error(index: int, message: str) -> dict[str, Any]:
    return {"index": index, "statusCode": 400, "message": message}


def _answer(received: int, errors: list[dict[str, Any]]) -> Response:
    accepted = received - len(errors)
    status = 200 if not errors else 206 if accepted else 400
    body = {"itemsReceived": received, "itemsAccepted": accepted, "errors": errors}
    session = {"x-ms-session-id": str(uuid.uuid4()).upper()}
    return Response(json.dumps(body, separators=(",", ":")).encode(), status, _HEADERS | session)
