"""A deploy in a process of its own, which can be killed. Started by multiprocessing's fork server,
which has imported everything before: a start costs a few milliseconds."""

from __future__ import annotations

import io
import multiprocessing
import os
import time
from typing import Any

import azure.mgmt.web  # noqa: F401  # imported once, for all children

from azext_otelembed.azure.sites import SiteId
from azext_otelembed.console import Console
from azext_otelembed.errors import OtelembedError
from azext_otelembed.release.deploy import deploy
from azext_otelembed.verification.verdict_tracker import Pace
from localazure.client import LocalAzure
from tests.release.support import request_of, session_of

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.release.driver"])
HASTY = Pace(
    interval=0.2,
    answers=2,
    settled=0.1,
    old_stops=2,
    abandoned=1,
    pull_allowance=1,
    swap_settles=0.3,
)
"""For containers that start quickly."""


def run(
    local: LocalAzure, token: str, client: str, site: SiteId, pace: Pace, given: dict[str, Any]
) -> tuple[int, str]:
    """A deploy; returns its exit status and its error's message, if there is one."""
    session = session_of(local, token, client)
    try:
        outcome = deploy(
            session, site, request_of(pace=pace, **given), Console(quiet=True, stream=io.StringIO())
        )
    except OtelembedError as error:
        return error.exit_status, error.message
    return outcome.exit_status, str(outcome.result["reason"] or "")


def killed(local: LocalAzure, number: int, arguments: tuple[Any, ...]) -> bool:
    """Starts a deploy in a child and kills it while the request waits that fault `number` selects.

    False when the deploy ended without making that request.
    """
    before = local.mark()
    child = PROCESSES.Process(target=main, args=arguments, daemon=True)
    child.start()
    held = False
    while child.is_alive() and not held:
        held = any(r["fault"] == number and r["held"] for r in local.requests(since=before))
        time.sleep(0.01)
    child.kill()
    child.join()
    return held


def main(*arguments: Any) -> None:
    """In a child: `run`, its exit status as that of the process."""
    os.environ["NO_PROXY"] = "localhost,127.0.0.1"
    os._exit(run(*arguments)[0])
