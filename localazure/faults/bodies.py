"""Bodies of injected errors, in the form of each service.

ARM's 429 and 504 and Microsoft.Web's 429 and 503 are as recorded (tests/contract compares them);
the others are in the form of their service.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from localazure.arm import errors

JSON = "application/json; charset=utf-8"
PAUSE = 1.0
"""Default seconds of Retry-After, which ARM's 429 always has."""
_WEB = re.compile(r"/providers/microsoft\.web/", re.IGNORECASE)
_PROVIDER = re.compile(r".*/providers/([^/]+)((?:/[^/]+)*)$", re.IGNORECASE)
_VERBS = {"GET": "read", "HEAD": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"}
_LOCKED = (
    "Cannot acquire exclusive lock to create, update or delete this site. Retry the request later."
)
_UNAVAILABLE = (
    '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01//EN""http://www.w3.org/TR/html4/strict.dtd">\r\n'
    "<HTML><HEAD><TITLE>Service Unavailable</TITLE>\r\n"
    '<META HTTP-EQUIV="Content-Type" Content="text/html; charset=us-ascii"></HEAD>\r\n'
    "<BODY><h2>Service Unavailable</h2>\r\n"
    "<hr><p>HTTP Error 503. The service is unavailable.</p>\r\n"
    "</BODY></HTML>\r\n"
)
_REGISTRY = {401: "UNAUTHORIZED", 403: "DENIED", 404: "NAME_UNKNOWN", 429: "TOOMANYREQUESTS"}
_TEXT = {"acr": "Asked for by a test.", "registry": "asked for by a test"}
_ARM = {
    401: "ExpiredAuthenticationToken",
    403: "AuthorizationFailed",
    404: "ResourceNotFound",
    409: "Conflict",
    503: "ServiceUnavailable",
}


@dataclass(frozen=True, slots=True)
class Body:
    """A response's body, its media type and its other headers."""

    content: bytes
    media_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


def given(body: Any) -> Body:
    """The body that a test gives: text, or a value that is sent as JSON."""
    if isinstance(body, str):
        return Body(body.encode(), "text/plain; charset=utf-8")
    return Body(json.dumps(body).encode())


def usual(service: str, method: str, path: str, status: int, pause: float | None) -> Body:
    """The error body of `service`; `pause` are the seconds of the test's Retry-After."""
    if service in _TEXT:
        code = _REGISTRY.get(status, "UNKNOWN")
        return given({"errors": [{"code": code, "message": _TEXT[service]}]})
    if service != "arm":
        return _in_arms_form(status)
    if status == 504:
        return _timed_out(path)
    if _WEB.search(path):
        if status == 429:
            return _error(errors.web(429, "429", _LOCKED, extended="59206"))
        if status == 503:
            server = {"server": "Microsoft-HTTPAPI/2.0", "x-ms-failure-cause": "service"}
            return Body(_UNAVAILABLE.encode(), "text/html; charset=us-ascii", server)
    elif status == 429:
        return _throttled(method, path, PAUSE if pause is None else pause)
    return _in_arms_form(status)


def _error(error: errors.ArmError) -> Body:
    return Body(json.dumps(error.body).encode(), JSON, error.headers)


def _throttled(method: str, path: str, pause: float) -> Body:
    provider, types = _of(path)
    action = "/".join([provider, *types, _VERBS.get(method, "action")])
    message = (
        f"Number of requests for action '{action}' exceeded the limit of '150' for time interval "
        f"'01:00:00'. Please try again after '{pause:g}' seconds."
    )
    more = {"retry-after": f"{pause:g}"}
    return _error(errors.gateway(429, "ResourceRequestsThrottled", message, **more))


def _timed_out(path: str) -> Body:
    provider, _ = _of(path)
    message = (
        f"The gateway did not receive a response from '{provider}' within the specified time "
        "period."
    )
    error = errors.provider(504, "GatewayTimeout", message)
    return Body(json.dumps(error.body).encode(), JSON, {"x-ms-failure-cause": "service"})


def _of(path: str) -> tuple[str, list[str]]:
    """The provider of a path and its resource's types, without the names between them."""
    found = _PROVIDER.match(path)
    if found is None:
        return "Microsoft.Resources", ["subscriptions"]
    return found[1], found[2].split("/")[1::2]


def _in_arms_form(status: int) -> Body:
    code = _ARM.get(status, "InternalServerError")
    return given({"error": {"code": code, "message": f"{code}: asked for by a test."}})
