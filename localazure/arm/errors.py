"""The error bodies of ARM and of its resource providers.

There are two forms. ARM itself and most providers send `{"error": {"code", "message"}}`.
Microsoft.Web sends `{"Code", "Message", "Target", "Details", "Innererror"}` without an envelope, so
clients that look for `error` lose its text.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any


class ArmError(Exception):
    """An error response: `status`, `body` (JSON) and `headers`."""

    def __init__(
        self, status: int, body: dict[str, Any], headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(body)
        self.status = status
        self.body = body
        self.headers = dict(headers or {})


def gateway(status: int, code: str, message: str, **more: str) -> ArmError:
    """An error of ARM itself, before it calls a resource provider."""
    headers = {"x-ms-failure-cause": "gateway", **more}
    return ArmError(status, {"error": {"code": code, "message": message}}, headers)


def invalid_content(why: str) -> ArmError:
    """400 of ARM for a body that isn't the JSON that it has to be."""
    text = f"The request content was invalid and could not be deserialized: '{why}'."
    return gateway(400, "InvalidRequestContent", text)


def provider(status: int, code: str, message: str) -> ArmError:
    """An error of a provider that uses ARM's form, such as Microsoft.Authorization."""
    return ArmError(status, {"error": {"code": code, "message": message}})


def registry(status: int, code: str, message: str) -> ArmError:
    """An error of Microsoft.ContainerRegistry, which adds `status` beside `error`."""
    body = {"error": {"code": code, "message": message}, "status": "Failed"}
    return ArmError(status, body, {"server": "Kestrel"})


def web(
    status: int,
    code: str,
    message: str,
    *,
    extended: str = "",
    template: str | None = None,
    parameters: Sequence[str] = (),
) -> ArmError:
    """An error of Microsoft.Web. `extended` is its five-digit ExtendedCode."""
    entity: dict[str, Any] = {
        "MessageTemplate": template or message,
        "Parameters": list(parameters),
        "Code": code,
        "Message": message,
    }
    if extended:
        entity = {"ExtendedCode": extended, **entity}
    body = {
        "Code": code,
        "Message": message,
        "Target": None,
        "Details": [{"Message": message}, {"Code": code}, {"ErrorEntity": entity}],
        "Innererror": None,
    }
    return ArmError(status, body, {"server": "Microsoft-IIS/10.0"})


def resource_not_found(kind: str, names: str, group: str) -> ArmError:
    """404 of ARM for a resource; `kind` such as Microsoft.Web/sites."""
    return gateway(
        404,
        "ResourceNotFound",
        f"The Resource '{kind}/{names}' under resource group '{group}' was not found. "
        "For more details please go to https://aka.ms/ARMResourceNotFoundFix",
    )


def group_not_found(name: str) -> ArmError:
    """404 for a resource group."""
    return gateway(404, "ResourceGroupNotFound", f"Resource group '{name}' could not be found.")


def forbidden(client: str, object_id: str, action: str, scope: str) -> ArmError:
    """403 AuthorizationFailed."""
    return gateway(
        403,
        "AuthorizationFailed",
        f"The client '{client}' with object id '{object_id}' does not have authorization to "
        f"perform action '{action}' over scope '{scope}' or the scope is invalid. If access was "
        "recently granted, please refresh your credentials.",
    )


def locked(scope: str, verb: str, locks: Sequence[str]) -> ArmError:
    """409 ScopeLocked, for a management lock at `scope` or above; `verb` is write or delete."""
    return gateway(
        409,
        "ScopeLocked",
        f"The scope '{scope}' cannot perform {verb} operation because following scope(s) are "
        f"locked: '{', '.join(locks)}'. Please remove the lock and try again.",
    )


def operation_in_progress(name: str, operation: str, created: datetime) -> ArmError:
    """409 of Microsoft.Web while `name` (SwapSiteSlots) has not ended."""
    details = (
        f"Id: {operation}, OperationName: {name}, "
        f"CreatedTime: {created.astimezone(timezone.utc).strftime('%-m/%-d/%Y %-I:%M:%S %p')}, "
        f"RequestId: {uuid.uuid4()}, EntityType: 3"
    )
    template = "Cannot modify this site because another operation is in progress. Details: {0}"
    return web(
        409,
        "Conflict",
        template.format(details),
        extended="59203",
        template=template,
        parameters=[details],
    )


def bad_parameter(name: str, why: str) -> ArmError:
    """400 of Microsoft.Web for an invalid value."""
    message = f"The parameter {name} has an invalid value. {why}"
    return web(
        400,
        "BadRequest",
        message,
        extended="51021",
        template="The parameter {0} has an invalid value. {1}",
        parameters=[name, why],
    )
