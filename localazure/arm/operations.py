"""Long-running operations: 202 with a Location that is polled until it has a result.

Every response has a new Location, signed for one poll; the client must use the latest unchanged.
Retry-After is 15 s for a swap in Azure and 10 s for a registry; here it is 1 s.
"""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from localazure.arm import errors
from localazure.arm.responses import arm, empty

RETRY_AFTER = "1"
_FILETIME_EPOCH = 116_444_736_000_000_000
_DOTNET_EPOCH = 621_355_968_000_000_000


def dotnet_ticks(moment: datetime) -> int:
    """100 ns since year 1, as in the `t` of a polling address."""
    return _DOTNET_EPOCH + int(moment.timestamp() * 10_000_000)


def file_time(moment: datetime) -> int:
    """100 ns since 1601, as in the etags of sites."""
    return _FILETIME_EPOCH + int(moment.timestamp() * 10_000_000)


@dataclass(slots=True)
class Operation:
    """`done` makes the final response after `task` has ended; an ArmError of `task` replaces it."""

    name: str
    id: str
    path: str
    task: asyncio.Task[None]
    done: Callable[[], Response]
    pending: Any = None
    created: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    signatures: set[str] = field(default_factory=set)


class Operations:
    """The operations of one management endpoint, by id and by the resource that they occupy."""

    def __init__(self) -> None:
        self._by_id: dict[str, Operation] = {}
        self._busy: dict[str, Operation] = {}

    def start(
        self,
        name: str,
        path: Callable[[str], str],
        work: Coroutine[Any, Any, None],
        done: Callable[[], Response],
        *,
        pending: Any = None,
        occupies: str | None = None,
        prefix: str = "",
    ) -> Operation:
        """Begin `work`. `path(id)` is the path to poll, `pending` the body of a 202 while polling,
        `occupies` the id of a resource that refuses writes meanwhile.
        """
        identifier = f"{prefix}{uuid.uuid4()}"
        task = asyncio.create_task(work, name=f"{name} {identifier}")
        operation = Operation(name, identifier, path(identifier), task, done, pending)
        self._by_id[identifier.lower()] = operation
        # Only a poll reports a failure: without one, asyncio must not log it.
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        if occupies:
            key = occupies.lower()
            self._busy[key] = operation
            task.add_done_callback(lambda _: self._busy.pop(key, None))
        return operation

    def refuse_if_busy(self, resource_id: str) -> None:
        """409 of Microsoft.Web while an operation occupies the site."""
        operation = self._busy.get(resource_id.lower())
        if operation is not None:
            raise errors.operation_in_progress(operation.name, operation.id, operation.created)

    def location(self, request: Request, operation: Operation) -> str:
        """A new address for polls, with the host and the api-version of `request`."""
        signature = secrets.token_urlsafe(32)
        operation.signatures.add(signature)
        base = str(request.base_url).rstrip("/")
        version = request.query_params["api-version"]
        ticks = dotnet_ticks(datetime.now(timezone.utc))
        return (
            f"{base}{operation.path}?api-version={version}&t={ticks}"
            f"&c={secrets.token_urlsafe(48)}&s={signature}&h={secrets.token_urlsafe(32)}"
        )

    def headers(self, request: Request, operation: Operation) -> dict[str, str]:
        """The headers of a 202: a new Location, and Retry-After."""
        return {"location": self.location(request, operation), "retry-after": RETRY_AFTER}

    def poll(self, request: Request, name: str) -> Response:
        """Answer a poll: 202 with a new Location, or the result."""
        operation = self._by_id.get(name.lower())
        signature = request.query_params.get("s", "")
        if operation is None or signature not in operation.signatures:
            raise errors.gateway(
                404, "NotFound", "The operation result was not found or its address was altered."
            )
        if not operation.task.done():
            headers = self.headers(request, operation)
            if operation.pending is None:
                return empty(202, headers)
            return arm(202, operation.pending, headers)
        failure = operation.task.exception()
        if failure is not None:
            raise failure
        return operation.done()
