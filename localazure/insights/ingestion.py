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


_STOPPED = ("OverQuota", "ForceOff", "SubscriptionSuspended")
"""States of a workspace in which it ingests nothing."""


async def track(double: Double, request: Request, at: str | None = None) -> Response:
    """POST /v2.1/track: 200, 206 if some envelopes are refused; the refusals' status if all are.

    `at` is the component whose own endpoint it is. Without the token that it requires a component
    answers 401, over its quota 439 (azure-monitor-opentelemetry-exporter's reactions); 403 for a
    public network and the bodies of the three are unconfirmed.
    """
    body = await request.body()
    try:
        if request.headers.get("content-encoding", "").lower() == "gzip":
            body = gzip.decompress(body)
        envelopes = parse(body)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        return _answer(1, [_error(0, f"Invalid payload: {error}", 400)])
    known = {c.instrumentation_key.lower(): c for c in double.state.components.values()}
    errors = []
    for index, envelope in enumerate(envelopes):
        problem = _check(envelope, known, at)
        if problem:
            errors.append(_error(index, *problem))
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


def _check(envelope: Any, known: dict[str, Component], at: str | None) -> tuple[str, int] | None:
    """The reason why an envelope is refused, and the status of the refusal."""
    if not isinstance(envelope, dict) or not isinstance(envelope.get("data"), dict):
        return "Field 'data' on type 'Envelope' is required but missing or empty.", 400
    component = known.get(str(envelope.get("iKey", "")).lower())
    own = component.name if component and component.own_endpoint else None
    if component is None or own != at:
        return "Invalid instrumentation key", 400
    if component.public_ingestion == "Disabled":
        return "Ingestion from public networks is disabled for this resource", 403
    if component.disable_local_auth:
        return "Unauthorized - please provide the valid authorization token", 401
    if component.over_quota or component.workspace_state in _STOPPED:
        return "Daily quota exceeded", 439
    if not envelope.get("time"):
        return "Field 'time' on type 'Envelope' is required.", 400
    return None


def _error(index: int, message: str, status: int) -> dict[str, Any]:
    return {"index": index, "statusCode": status, "message": message}


def _answer(received: int, errors: list[dict[str, Any]]) -> Response:
    accepted = received - len(errors)
    alike = {error["statusCode"] for error in errors}
    status = 200 if not errors else 206 if accepted else alike.pop() if len(alike) == 1 else 400
    body = {"itemsReceived": received, "itemsAccepted": accepted, "errors": errors}
    session = {"x-ms-session-id": str(uuid.uuid4()).upper()}
    return Response(json.dumps(body, separators=(",", ":")).encode(), status, _HEADERS | session)
