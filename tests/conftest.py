"""How the tests are run: in which order, and what is shown of failures while others go on."""

from __future__ import annotations

from pathlib import Path

import pytest

LONGEST = (
    "e2e/test_fleet.py",
    "release/test_records.py",
    "e2e/test_faults.py",
    "release/test_verify.py",
    "e2e/test_release_steps.py",
    "corpus/test_judges.py",
    "release/test_kinds.py",
    "e2e/test_refusals.py",
    "launchers/test_the_app.py",
    "builders/test_build_dockerfile.py",
    "corpus/test_dockerfile.py",
    "localazure/test_az_commands.py",
)
"""Begun first, so that no worker is left alone with one of them at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sorts the files; unit tests, which take no time, come last."""
    here = Path(__file__).parent

    def rank(item: pytest.Item) -> tuple[int, bool]:
        name = item.path.relative_to(here).as_posix()
        return (LONGEST.index(name) if name in LONGEST else len(LONGEST), name.startswith("unit/"))

    items.sort(key=rank)


class Failures:
    """Tells of a failure at once: what comes after it may take minutes, or never end."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A line for each test that failed."""
        if report.failed:
            message = report.longreprtext.strip().splitlines()[-1:]
            self._terminal.write_line(f"\n{report.nodeid} ({report.when}): {''.join(message)}")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Where there are workers, the process that started them tells."""
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Failures(terminal))
