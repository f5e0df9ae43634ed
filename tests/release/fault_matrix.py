"""The matrix of faults: a command meets a fault at its k-th request, and is run again without one.

A request is named by its service, method and path, and by how many such requests came before it:
the order of concurrent requests differs from run to run.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.support import API_KEY, is_write
from tests.release.command_process import Ended, Running
from tests.release.fault_subjects import Bench, FleetOfThree, Subject, subject
from tests.release.support import NEW

LANES = 2
"""Commands at a time: they wait for containers most of their time, and compute for 0.4 s."""
GROUP = 1900
"""The first of the resource groups of the lanes."""
ROUNDS = 2
"""How many looks at a site that comes up are tried: one is like the other."""
POLLS = ("/containerlogs", "/instances")
GARBAGE = "<html><head><title>Sign in to the network</title></head></html>"
HELD = {"kill": Running.kill, "TERM": Running.terminate}
"""What ends a command while its request waits."""
FAULTS: Mapping[str, dict[str, Any]] = {
    "kill": {"hold": True},
    "TERM": {"hold": True},
    "503": {"status": 503},
    "429": {"status": 429, "retry_after": 0},
    "reset": {"reset": True},
    "truncated": {"truncate": 7},
    "garbage": {"status": 200, "body": GARBAGE, "handle": True},
    "empty 200": {"status": 200, "body": {}, "handle": True},
}
AFTER: Mapping[str, dict[str, Any]] = {
    "kill": {"hold_after": True},
    "TERM": {"hold_after": True},
    "reset": {"reset_after": True},
}
"""The same faults after the request was handled, for requests that change something."""
_CHANGING = re.compile(
    r"sha256:[0-9a-f]{64}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|site-[0-9a-f]{12}"
    r"|(?:shop|fleet|shelf|group)-\d+(?:-[abc])?|registry\d+|[0-9a-f]{32,}",
    re.IGNORECASE,
)
"""What differs between the paths of two runs."""
SITE_PATH = "/subscriptions/*/resourceGroups/*/providers/Microsoft.Web/sites/*"
_UNCHANGED = re.compile(r"nothing was changed|(?<!image )is unchanged(?! or)", re.IGNORECASE)


@dataclass(frozen=True)
class Place:
    """The `nth` request of a command to a service, with a method and a path (a pattern)."""

    service: str
    method: str
    path: str
    nth: int
    writes: bool
    """Whether it changes something."""
    empty: bool
    """Whether its answer has no body."""
    site: int = 0
    """Which of the sites it asks, for a request to a site."""

    def __str__(self) -> str:
        site = f"{self.site} " if self.service == "site" else ""
        path = self.path.strip("^$").replace("[^/]+", "*").replace("\\", "")
        path = path.replace(SITE_PATH, "")
        return f"{self.service} {site}{self.method} {path} #{self.nth}"


@dataclass(frozen=True)
class Cell:
    """A fault (a key of `FAULTS`) at a place; `after` the request was handled."""

    place: Place
    fault: str
    after: bool = False

    def __str__(self) -> str:
        return f"{self.fault}{' after' * self.after} at {self.place}"


@dataclass
class Results:
    """The results of cells of one command: what was wrong, by cell."""

    title: str
    run: int = 0
    missed: int = 0
    """Cells whose request didn't come: a look more or less."""
    wrong: dict[str, list[str]] = field(default_factory=dict)
    seconds: float = 0.0

    def show(self) -> str:
        """For a failed assertion: each cell that failed, and why."""
        return "\n".join(
            f"{self.title}: {cell}\n  " + "\n  ".join(found) for cell, found in self.wrong.items()
        )


def places(bench: Bench, title: str, group: str) -> list[Place]:
    """The requests of a command that nothing disturbs; of the polls, the first `ROUNDS`."""
    one = subject(bench, title)
    one.prepare(group)
    before = bench.cloud.local.mark()
    ended = one.call().run()
    assert ended.exit_status == 0, ended
    hosts = _hosts(one)
    asked = [
        record
        for record in bench.cloud.local.requests(since=before)
        if record["client"] == one.client
    ]
    one.delete()
    found: list[Place] = []
    counts: Counter[tuple[str, str, str, int]] = Counter()
    for record in asked:
        path = "^" + "[^/]+".join(map(re.escape, _CHANGING.split(record["path"]))) + "$"
        service, method = record["service"], record["method"]
        site = hosts.index(record["host"]) if service == "site" else 0
        count = counts[service, method, path, site] = counts[service, method, path, site] + 1
        is_poll = service == "site" or record["path"].lower().endswith(POLLS)
        if not is_poll or count <= ROUNDS:
            empty = not record["received"] or method == "HEAD"
            found.append(Place(service, method, path, count, is_write(record), empty, site))
    return found


def of_like_sites(found: Sequence[Place]) -> list[Place]:
    """The first request of each kind, and the last one if it writes, for sites that are alike."""
    last = {(one.service, one.method, one.path): one.nth for one in found}
    return [
        one
        for one in found
        if (one.nth == 1 and one.site == 0)
        or (one.writes and one.nth == last[one.service, one.method, one.path])
    ]


def cells(found: Iterable[Place], *faults: str) -> list[Cell]:
    """Faults, at all places that can have them."""
    cells = []
    for place in found:
        for fault in faults:
            if fault in ("truncated", "garbage") and place.empty:
                continue
            cells.append(Cell(place, fault))
            if place.writes and fault in AFTER:
                cells.append(Cell(place, fault, after=True))
    return cells


def try_all(bench: Bench, title: str, wanted: Sequence[Cell]) -> Results:
    """Runs the cells, `LANES` at a time."""
    results = Results(title, len(wanted))
    queue = iter(wanted)
    began = time.monotonic()

    def lane(number: int) -> None:
        for cell in queue:
            try:
                found = _try(bench, title, cell, f"group-{GROUP + number}")
            except Exception as error:  # noqa: BLE001  # one cell's failure must not hide others
                found = [f"{type(error).__name__}: {error}"]
            if found is None:
                results.missed += 1
            elif found:
                results.wrong[str(cell)] = found

    with ThreadPoolExecutor(LANES) as pool:
        list(pool.map(lane, range(LANES)))
    results.seconds = time.monotonic() - began
    return results


def _try(bench: Bench, title: str, cell: Cell, group: str) -> list[str] | None:
    """What is wrong after the fault and after the clean rerun; None if the fault hit nothing."""
    one = subject(bench, title)
    one.prepare(group)
    try:
        first, hit = _disturbed(one, cell)
        wrong = [f"first run: {text}" for text in _wrong_first(one, cell, first)]
        wrong += one.wrong_end(one.call().run())
        if wrong:
            wrong.append(f"the first run ended with {first.exit_status}: {first.said[-1500:]}")
    finally:
        one.delete()
    return wrong or ([] if hit else None)


def _disturbed(one: Subject, cell: Cell) -> tuple[Ended, bool]:
    """How the command ended, and whether the fault hit a request of it."""
    local, place = one.bench.cloud.local, cell.place
    where = {"host": _hosts(one)[place.site]} if place.service == "site" else {}
    number = local.fault(
        client=one.client,
        **where,
        **(AFTER if cell.after else FAULTS)[cell.fault],
        service=place.service,
        method=place.method,
        path=place.path,
        nth=place.nth,
    )
    try:
        running = Running(one.call())
        if cell.fault not in HELD:
            ended = running.end()
            (fault,) = (each for each in local.faults() if each["id"] == number)
            return ended, fault["matches"] >= place.nth
        while running.alive:
            if local.until_held(number, 0.3):
                return HELD[cell.fault](running), True
        return running.end(), False
    finally:
        local.clear_faults(number)


def _wrong_first(one: Subject, cell: Cell, ended: Ended) -> list[str]:
    """Where the first run lied, about what it did or how it ended."""
    wrong = one.wrong(done=ended.exit_status == 0)
    told = ended.said + repr(ended.result)
    if "Traceback" in ended.said:
        wrong.append("a traceback")
    for name, secret in (("a setting", API_KEY), ("the key", NEW[-36:]), ("a token", one.token)):
        if secret in told:
            wrong.append(f"shows {name}")
    if ended.exit_status == 0:
        left = one.pending()
        return wrong + (left if "stays pending" not in ended.said else [])
    if cell.fault == "kill" and ended.exit_status < 0:
        return wrong
    if cell.fault == "TERM" and (ended.exit_status, "SIGTERM received" in told) != (143, True):
        wrong.append(f"TERM: {ended.exit_status}")
    if ended.exit_status not in (1, 3, 4, 5, 6, 143) or not ended.said.strip():
        wrong.append(f"status {ended.exit_status}, without words")
    lines = ended.said.splitlines()
    if isinstance(one, FleetOfThree):
        # A line for each site; the fleet's own line says it of the sites that have none.
        unchanged = {line.partition(":")[0] for line in lines if _UNCHANGED.search(line)}
        wrong += [f"it says that {name} is unchanged" for name in unchanged & one.changed_sites()]
        wrong += one.wrong_result(ended)
    elif lines and _UNCHANGED.search(lines[-1]) and one.changed():
        wrong.append("it says that nothing was changed")
    return wrong


def _hosts(one: Subject) -> list[str]:
    return [site.url.partition("://")[2] for site in one.asked]


def check_row(
    bench: Bench,
    found: Sequence[Place],
    title: str,
    fault: str,
    record: Callable[[str, object], None],
) -> None:
    """Tries a fault at each of the places of a command, and records how many cells there were."""
    results = try_all(bench, title, cells(found, fault))
    failed = len(results.wrong)
    record("cells", [title, fault, results.run, failed, results.seconds])
    assert not results.wrong, results.show()
    assert results.missed * 4 <= results.run, "only a look more or less"
