"""A fleet: many sites deployed in parallel, each as a single deploy would do it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from azext_otelembed.az_commands import DEFAULT, Verbatim
from azext_otelembed.azure.session import Session
from azext_otelembed.azure.sites import SiteId
from azext_otelembed.console import Console, Step
from azext_otelembed.deadline import Deadline
from azext_otelembed.errors import UNCHANGED, InvalidInput, OtelembedError
from azext_otelembed.parallel import map_concurrently
from azext_otelembed.printable import one_line
from azext_otelembed.release.deploy import DeployRequest, deploy
from azext_otelembed.release.deploy_result import Outcome
from azext_otelembed.release.release_context import EXIT_UNPROVEN
from azext_otelembed.target.embedder import BuildOnce

if TYPE_CHECKING:
    from rich.console import RenderableType

PARALLEL = 20
"""Sites at a time. Azure Resource Manager's limits are far above their requests, and each call
waits and repeats itself after a 429 with Retry-After."""
_LIST = DEFAULT.command(
    "webapp list", "--query", Verbatim('"[].id"'), "-o", "tsv", subscription=None
)
LIST_IDS = f"List the ids of the subscription's sites with `{_LIST}`."
SEVERITY = (0, EXIT_UNPROVEN, 3, 1, 4, 5)
"""Exit statuses from good to bad: the worst one is the fleet's. An unproven site is the least bad
one: it has the wanted image and answers."""


class SiteConsole(Console):
    """The console of one site of a fleet: its current step is shown in the fleet's table."""

    def __init__(self, site: SiteId, quiet: bool) -> None:
        super().__init__(quiet=quiet)
        self.live = False
        self.site = site
        self.on_state: Callable[[], None] | None = None
        self.current: Step | None = None
        self.lines: list[str] = []

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Runs a step, which is the current one meanwhile."""
        step = Step(name, self)
        self.current = step
        try:
            yield step
        finally:
            self.seconds[name] = round(step.seconds, 2)

    def stands(self, state: str, *lines: str) -> None:
        """Records the site's state, which an interrupt of the fleet tells."""
        super().stands(state, *lines)
        if self.on_state is not None:
            self.on_state()

    def note(self, text: str) -> None:
        """Keeps the line; it is shown under the site's name after the site's release."""
        self.lines.append(text)

    def alert(self, *lines: str) -> None:
        """Keeps the lines, as `note` does."""
        self.lines += lines

    tell = alert

    def plain(self, text: str) -> None:
        """Discards the line: the plain lines of fifty sites at once would be unreadable."""


@dataclass(slots=True)
class SiteRun:
    """One site's release: waiting, running, or ended with a result."""

    console: SiteConsole
    result: dict[str, Any] | None = None

    @property
    def exit_status(self) -> int:
        """0 until it has ended."""
        return self.result["exitStatus"] if self.result else 0


class Fleet:
    """The progress of all sites, as a table while they run."""

    def __init__(
        self, runs: Sequence[SiteRun], console: Console, most_failures: int | None
    ) -> None:
        self.runs = runs
        self.console = console
        self._most_failures = most_failures

    @property
    def failures(self) -> int:
        """How many sites have failed so far; an unproven one counts, unless it is accepted."""
        return sum(1 for run in self.runs if run.exit_status)

    @property
    def stopped(self) -> bool:
        """Whether so many have failed that no further site starts."""
        return self._most_failures is not None and self.failures >= self._most_failures

    def __rich__(self) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.spinner import Spinner
        from rich.table import Table
        from rich.text import Text

        ended = [run for run in self.runs if run.result is not None]
        head = Table.grid(padding=(0, 1))
        failed = self.failures
        head.add_row(
            Spinner("dots"),
            ProgressBar(total=len(self.runs), completed=len(ended), width=30),
            Text(f"{len(ended)}/{len(self.runs)} sites"),
            Text(f"{failed} failed" if failed else "", style="red"),
        )
        table = Table.grid(padding=(0, 2))
        for run in self.runs:
            step = run.console.current
            if run.result is None and step is not None:
                table.add_row(
                    Text(one_line(run.console.site.label)),
                    Text(step.name, style="bold"),
                    Text(step.detail, no_wrap=True, overflow="ellipsis"),
                )
        return Group(head, table)


def deploy_fleet(
    session: Session,
    sites: Sequence[SiteId],
    request: DeployRequest,
    console: Console,
    most_failures: int | None,
) -> Outcome:
    """Deploys all `sites`, `PARALLEL` at a time; an image that several need is embedded once.

    After `most_failures` failures no further site starts. The same command run again continues: a
    site that is deployed already is only read. The exit status is the worst site's.
    """
    called = [replace(site, caller=session.caller) for site in dict.fromkeys(sites)]
    runs = [SiteRun(SiteConsole(site, quiet=True)) for site in called]
    fleet = Fleet(runs, console, most_failures)
    build_once = BuildOnce()

    def report_state() -> None:
        console.stands(*_state(fleet))

    report_state()
    for run in runs:
        run.console.on_state = report_state

    def run_site(run: SiteRun) -> None:
        if not fleet.stopped:
            _deploy_site(session, run, request, build_once)
            report_state()
            _report(console, run)

    with console.show_live(fleet, refresh_per_second=6):
        map_concurrently(runs, run_site, limit=PARALLEL)
    not_started = "not started: too many sites failed before"
    results = [run.result or _result(run.console.site, None, not_started) for run in runs]
    worst = max((run.exit_status for run in runs), key=SEVERITY.index)
    if fleet.stopped:
        console.alert(
            f"otelembed: stopped after {fleet.failures} failures; run the same command again to "
            "continue with the other sites."
        )
    counts = {
        "sites": results,
        "succeeded": sum(1 for one in results if one["exitStatus"] == 0),
        "failed": fleet.failures,
        "notBegun": sum(1 for one in results if one["exitStatus"] is None),
    }
    return Outcome({**counts, "seconds": dict(console.seconds)}, worst)


def read_sites(lines: Sequence[str]) -> list[SiteId]:
    """Sites from lines of ARM ids; empty lines and comments after a `#` are ignored.

    Raises `InvalidInput` with the number of the line that isn't the id of a site.
    """
    found: list[SiteId] = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        site = SiteId.parse(text)
        if site is None:
            raise InvalidInput(
                f"Line {number} isn't the id of a Web App or slot: '{text}'.",
                LIST_IDS,
            )
        found.append(site)
    if not found:
        raise InvalidInput("No site was named.", LIST_IDS)
    return found


def _deploy_site(
    session: Session, run: SiteRun, request: DeployRequest, build_once: BuildOnce
) -> None:
    site = run.console.site
    began = time.monotonic()
    # Each site has the whole time of --timeout, however long it has waited for its turn.
    deadline = Deadline(request.release.timeout)
    session = replace(session, subscription=site.subscription, deadline=deadline)
    try:
        outcome = deploy(session, site, request, run.console, build_once)
        result = _result(site, outcome.exit_status) | outcome.result
    except OtelembedError as error:
        result = _result(site, error.exit_status, error.message, error.recommendation)
    except Exception as error:  # noqa: BLE001  # the results of the other sites matter more than its trace
        from knack.util import CLIError

        # az's own errors are messages for users; other text may contain secrets.
        message = str(error) if isinstance(error, CLIError) else type(error).__name__
        result = _result(site, 1, message, "Deploy this site alone with --debug to see more.")
    if result["error"]:
        run.console.lines.append(result["error"])
    run.result = {**result, "elapsed": round(time.monotonic() - began, 2)}


def _report(console: Console, run: SiteRun) -> None:
    name = run.console.site.label
    words = {0: "ok", EXIT_UNPROVEN: f"unproven ({EXIT_UNPROVEN})"}
    state = words.get(run.exit_status, f"failed ({run.exit_status})")
    seconds = (run.result or {}).get("elapsed")
    if run.exit_status:
        lines = (f"  {line}" for line in run.console.lines)
        console.alert(f"otelembed: {name}: {state}", *lines)
    else:
        console.plain(f"{name}: {state} ({seconds} s)")
        for line in run.console.lines:
            console.note(f"{name}: {line}")


def _result(
    site: SiteId, status: int | None, error: str | None = None, recommendation: str | None = None
) -> dict[str, Any]:
    return {
        "site": site.label,
        "resourceGroup": site.group,
        "exitStatus": status,
        "error": error,
        "recommendation": recommendation,
        "elapsed": None,
    }


def _state(fleet: Fleet) -> tuple[str, ...]:
    """The state of a fleet, and of each site that is being changed."""
    ended = sum(1 for run in fleet.runs if run.result is not None)
    changing = [
        f"  {run.console.site.label}: {run.console.standing}."
        for run in fleet.runs
        if run.result is None and run.console.standing != UNCHANGED
    ]
    return (
        f"{ended} of {len(fleet.runs)} sites are done; the others are unchanged or their release "
        "is in progress: run the same command again to continue",
        *changing,
    )
