"""How the tests run: their order, the double of a worker, and failures shown at once."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localazure.az import AZ, Az
from localazure.client import LocalAzure
from localazure.seed import QUICK, demo
from tests.e2e.support import EXTENSIONS, IMAGES, Cloud
from tests.warm import WarmAz

GROUPS = 2000
"""Resource groups in the double from the start: a test's site takes the next one."""

LONGEST = (
    "launchers/test_first_processes.py",
    "release/test_fault_matrix_wait.py",
    "release/test_fault_matrix_swap.py",
    "release/test_crash.py",
    "release/test_fault_matrix_many.py",
    "release/test_hostile_words.py",
    "release/test_many_releases.py",
    "release/test_fault_matrix.py",
    "release/test_reruns.py",
    "builders/test_acr_context.py",
    "e2e/test_fleet.py",
    "release/test_records.py",
    "e2e/test_faults.py",
    "e2e/test_release_steps.py",
    "release/test_verify.py",
    "release/test_swapping.py",
    "release/test_writers.py",
    "e2e/test_refusals.py",
    "corpus/test_judges.py",
    "release/test_kinds.py",
    "e2e/test_deploy_images.py",
    "registry/test_lies.py",
    "builders/test_acr_build.py",
    "e2e/test_swap.py",
    "release/test_crossing.py",
    "registry/test_bringing_in.py",
    "e2e/test_wait.py",
    "builders/test_build_dockerfile.py",
    "e2e/test_deploy_failing.py",
    "e2e/test_budget.py",
    "builders/test_build.py",
    "launchers/test_the_app.py",
    "corpus/test_dockerfile.py",
    "e2e/test_az_prune.py",
)
"""Begun first, so that no worker is left alone with one of them at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sorts the files; unit tests, which take no time, come last."""
    here = Path(__file__).parent

    def rank(item: pytest.Item) -> tuple[int, bool]:
        name = item.path.relative_to(here).as_posix()
        return (LONGEST.index(name) if name in LONGEST else len(LONGEST), name.startswith("unit/"))

    items.sort(key=rank)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--until`, for CI: what doesn't fit into its time is skipped, and the summary says so."""
    parser.addoption(
        "--until",
        type=float,
        default=math.inf,
        help="seconds since 1970; a test that would end later is skipped",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips a test for which there is no time left, before its fixtures are set up."""
    marker = item.get_closest_marker("thorough")
    minutes = marker.kwargs.get("minutes", 0.5) if marker else 0.5
    if time.time() + 60 * minutes > item.config.getoption("until"):
        pytest.skip("no time left: `make test-all` runs it")


class Failures:
    """Tells of a failure at once: what comes after it may take minutes, or never end.

    At the end it shows the matrix of faults, of which tests report cells as properties.
    """

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal
        self._cells: list[Any] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A line for each test that failed."""
        if report.when == "call":
            self._cells += [value for name, value in report.user_properties if name == "cells"]
        if report.failed:
            message = report.longreprtext.strip().splitlines()[-1:]
            self._terminal.write_line(f"\n{report.nodeid} ({report.when}): {''.join(message)}")

    def pytest_terminal_summary(self) -> None:
        """The matrix of faults: by command and fault the cells run, and those that failed."""
        if not self._cells:
            return
        faults = list(dict.fromkeys(fault for _, fault, *_ in self._cells))
        rows: dict[str, dict[str, str]] = {}
        seconds: Counter[str] = Counter()
        for title, fault, run, failed, took in self._cells:
            rows.setdefault(title, {})[fault] = f"{run} ({failed})" if failed else str(run)
            seconds[title] += took
        line = self._terminal.write_line
        self._terminal.section("commands with a fault at each request: cells run (failed)")
        line(f"{'':22}" + "".join(f"{fault:>11}" for fault in faults))
        for title, row in rows.items():
            shown = "".join(f"{row.get(fault, ''):>11}" for fault in faults)
            line(f"{title:22}{shown}  {seconds[title]:.0f} s")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Where there are workers, the process that started them tells."""
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Failures(terminal))


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAzure]:
    """The double that all tests of this worker share: the demo's registries, and no site.

    A test takes names of its own (sites, repositories, registries), and clears its faults.
    """
    for needed in (AZ, EXTENSIONS / "otelembed", IMAGES / "app" / "index.json"):
        if not needed.exists():
            pytest.fail(f"{needed} is missing: `make setup` makes it", pytrace=False)
    seed = demo()
    names = [f"group-{number}" for number in range(1, GROUPS)]
    seed["groups"] += [{"name": name, "location": "westeurope"} for name in names]
    seed["sites"] = []
    seed["runtime"] = QUICK
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "localhost,127.0.0.1")
        with LocalAzure.start(tmp_path_factory.mktemp("double") / "localazure", seed) as started:
            yield started


@pytest.fixture(scope="session")
def cloud(local: LocalAzure, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """The double and an az, which is logged in where a test asks for `az`."""
    directory = tmp_path_factory.mktemp("cloud")
    with WarmAz(local, directory / "azure", EXTENSIONS) as az:
        _CLOUDS.append(Cloud(local, az, directory))
        yield _CLOUDS[0]


_CLOUDS: list[Cloud] = []
"""The session's one, once a test has asked for it."""


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Stops the sites of a test file after its last test and the end of its fixtures."""
    if nextitem is not None and nextitem.path != item.path:
        for cloud in _CLOUDS:
            cloud.rest()


@pytest.fixture(scope="session")
def az(cloud: Cloud) -> Az:
    """The real az with the extension, logged in as the subscription's owner."""
    cloud.az.login()
    return cloud.az
