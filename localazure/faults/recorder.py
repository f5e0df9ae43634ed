"""The request log, and the faults that are set."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import time
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.types import Scope

_SECRET = {"sig", "token", "access_token", "refresh_token", "client_secret", "password", "code"}


@dataclass(slots=True)
class Record:
    """One request. `status` is None until the response starts, and stays None if it was cut."""

    n: int
    time: float
    """Seconds since the epoch, at its start."""
    service: str
    method: str
    host: str
    path: str
    query: str
    """Values that are secrets, such as a SAS signature, are replaced by `***`."""
    user_agent: str
    authorization: bool
    client: str
    """The value of the header `x-localazure-client`, for tests that tell clients apart."""
    command: str
    """az's `CommandName` header."""
    status: int | None = None
    sent: int = 0
    """Bytes of the request's body."""
    received: int = 0
    """Bytes of the answer's body."""
    seconds: float = 0.0
    fault: int | None = None
    """The id of the fault that changed it."""
    held: bool = False


@dataclass(slots=True)
class Fault:
    """A fault: selectors of requests, and the change. None as a selector matches everything."""

    id: int
    service: str | None = None
    method: str | None = None
    host: str | None = None
    path: str | None = None
    """A regular expression, searched for in the path without the query, case ignored."""
    query: str | None = None
    """A regular expression for the query, in the same way."""
    client: str | None = None
    nth: int = 1
    """The first match that is hit, counted from 1."""
    times: int = 1
    """The number of matches that are hit from there on; 0 for all."""
    status: int | None = None
    body: Any = None
    """Text, or a value that is sent as JSON. None: the usual error body of the service."""
    headers: dict[str, str] = field(default_factory=dict)
    retry_after: float | None = None
    latency: float = 0.0
    """Seconds of delay before the request is handled."""
    reset: bool = False
    """Reset the connection before the request is handled."""
    reset_after: bool = False
    """Handle the request, then reset the connection instead of a response."""
    handle: bool = False
    """With `status`: handle the request before, and discard the response to it."""
    truncate: int | None = None
    """Reset the connection after this many bytes of the response's body."""
    hold: bool = False
    """Wait before handling, until released."""
    hold_after: bool = False
    """Handle the request, then delay the response until released."""
    drip: float | None = None
    """Answer with one header line after the other, every so many seconds, and never end."""
    matches: int = 0
    held: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once a request waits."""
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def fits(self, record: Record) -> bool:
        """Whether the selectors match this request."""
        exact = (
            (self.service, record.service),
            (self.method, record.method),
            (self.host, record.host),
            (self.client, record.client),
        )
        searched = ((self.path, record.path), (self.query, record.query))
        return all(want is None or want == have for want, have in exact) and all(
            want is None or re.search(want, have, re.IGNORECASE) for want, have in searched
        )

    def view(self) -> dict[str, Any]:
        """As JSON."""
        shown = {name: getattr(self, name) for name in FAULT_FIELDS}
        return {"id": self.id, "matches": self.matches, **shown}


FAULT_FIELDS = tuple(
    name for name in Fault.__dataclass_fields__ if name not in ("id", "matches", "held", "released")
)


class Recorder:
    """Every request that reached a listener, in order of arrival, and the faults set."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.faults: list[Fault] = []
        self._numbers = itertools.count(1)
        self._ids = itertools.count(1)

    def begin(self, scope: Scope, service: str) -> Record:
        """Record a new request."""
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        record = Record(
            n=next(self._numbers),
            time=time.time(),
            service=service,
            method=scope["method"],
            host=headers.get("host", ""),
            path=scope["path"],
            query=scrub(scope["query_string"].decode("latin-1")),
            user_agent=headers.get("user-agent", ""),
            authorization="authorization" in headers,
            client=headers.get("x-localazure-client", ""),
            command=headers.get("commandname", ""),
        )
        self.records.append(record)
        return record

    def since(self, n: int) -> list[dict[str, Any]]:
        """Requests with a number above `n`, as JSON."""
        return [asdict(record) for record in self.records if record.n > n]

    def add(self, wanted: dict[str, Any]) -> Fault:
        """Set a fault. Raises ValueError for fields that a fault doesn't have."""
        unknown = sorted(set(wanted) - set(FAULT_FIELDS))
        if unknown:
            raise ValueError(f"A fault has no {', '.join(unknown)}; it has {FAULT_FIELDS}.")
        for pattern in (wanted.get("path"), wanted.get("query")):
            re.compile(pattern or "")
        fault = Fault(id=next(self._ids), **wanted)
        self.faults.append(fault)
        return fault

    def due(self, record: Record) -> Fault | None:
        """The fault that hits this request. Counts the request for every fault it fits."""
        fitting = [fault for fault in self.faults if fault.fits(record)]
        for fault in fitting:
            fault.matches += 1
        for fault in fitting:
            last = fault.nth + fault.times - 1
            if fault.matches >= fault.nth and (not fault.times or fault.matches <= last):
                record.fault = fault.id
                return fault
        return None

    async def until_held(self, id_: int, seconds: float) -> bool:
        """Wait until a fault holds a request, `seconds` at most; returns whether it does."""
        (fault,) = (fault for fault in self.faults if fault.id == id_)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(fault.held.wait(), seconds)
        return fault.held.is_set()

    def release(self, id_: int | None = None) -> None:
        """Continue the held requests of one fault, or all."""
        for fault in self.faults:
            if id_ in (None, fault.id):
                fault.released.set()

    def clear_faults(self, id_: int | None = None) -> None:
        """Remove one fault, or all, and continue their held requests."""
        self.release(id_)
        self.faults = [] if id_ is None else [f for f in self.faults if f.id != id_]


def scrub(query: str) -> str:
    """The query with secret values replaced."""
    pairs = parse_qsl(query, keep_blank_values=True)
    if not any(name.lower() in _SECRET for name, _ in pairs):
        return query
    return urlencode([(n, "***" if n.lower() in _SECRET else v) for n, v in pairs], safe="*:/")
