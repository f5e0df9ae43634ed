"""Commands in processes of their own, as az runs them: with signals, an exit status and stderr.

A process comes from multiprocessing's fork server, which has imported everything before: a start
costs a few milliseconds, and two cores run two commands.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import azure.containerregistry  # noqa: F401  # imported once, for all children
from azure.cli.core.azclierror import AzCLIError, ResourceNotFoundError
from requests import sessions
from requests.structures import CaseInsensitiveDict
from requests.utils import default_headers

from azext_otelembed.azure import registries
from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.session import Session
from azext_otelembed.azure.sites import SiteId
from azext_otelembed.command_frame import command_frame
from azext_otelembed.console import Console
from azext_otelembed.prune.prune import Pruner
from azext_otelembed.release.deploy import deploy
from azext_otelembed.release.fleet import deploy_fleet
from azext_otelembed.release.recorded_site import open_site
from azext_otelembed.release.release_context import ReleaseOptions
from azext_otelembed.release.rollback import plan_removal, plan_rollback
from azext_otelembed.release.wait import wait
from localazure.client import LocalAzure
from tests.release.driver import HASTY, PROCESSES
from tests.release.support import CLIENT, request_of, session_of

PROCESSES.set_forkserver_preload(["tests.release.driver", "tests.release.command_process"])
TIMEOUT = 20
"""Seconds, as with --timeout."""
PROMPT = 10.0
"""Seconds after which a command that got a signal has to be gone."""
ENDLESS = 90.0
"""Seconds after which a command counts as one that doesn't end."""


@dataclass(frozen=True)
class Command:
    """A command line, so to speak: `name` of a command, its sites, and other arguments.

    `client` marks its requests for the double, to whichever service they go.
    """

    name: str
    local: LocalAzure
    token: str
    client: str
    sites: Sequence[SiteId] = ()
    given: Mapping[str, Any] = field(default_factory=dict)

    def sendable(self) -> Command:
        """The same without the process of the double, which can't be sent to another process."""
        return replace(self, local=LocalAzure(self.local.directory, self.local.info))

    def run(self) -> Ended:
        """Run it to its end."""
        return Running(self).end()


@dataclass(frozen=True)
class Ended:
    """How a command ended: negative exit statuses are signals."""

    exit_status: int
    said: str
    result: Any = None


class Running:
    """A command that runs in a child."""

    def __init__(self, command: Command) -> None:
        self._stderr = os.memfd_create("stderr")
        self._result = os.memfd_create("result")
        # The fork server hands nothing down but what is sent: the files are opened by their path.
        paths = [f"/proc/{os.getpid()}/fd/{number}" for number in (self._stderr, self._result)]
        self._process: BaseProcess = PROCESSES.Process(
            target=main, args=(command.sendable(), *paths), daemon=True
        )
        self._process.start()

    @property
    def alive(self) -> bool:
        """Whether it hasn't ended."""
        return self._process.is_alive()

    def kill(self) -> Ended:
        """End it at once."""
        self._process.kill()
        # The fork server may not have the status of a process that was killed.
        return replace(self.end(), exit_status=-signal.SIGKILL)

    def terminate(self) -> Ended:
        """End it with TERM."""
        self._process.terminate()
        return self.end(PROMPT)

    def end(self, within: float = ENDLESS) -> Ended:
        """Wait for its end; one that doesn't end in time is killed, and what it said tells so."""
        self._process.join(within)
        late = f"Traceback: it didn't end within {within:.0f} s" if self.alive else ""
        if late:
            self._process.kill()
            self._process.join()
        status = self._process.exitcode
        self._process.close()
        said, result = _read(self._stderr), _read(self._result)
        return Ended(int(status or 0), said + late, json.loads(result) if result else None)


def _read(file: int) -> str:
    with os.fdopen(file, "rb") as opened:
        opened.seek(0)
        return opened.read().decode()


def main(command: Command, stderr: str, result: str) -> None:
    """In the child: run a command; its exit status is that of the process."""
    os.environ["NO_PROXY"] = "localhost,127.0.0.1"
    headers = CaseInsensitiveDict({**default_headers(), CLIENT: command.client})
    mock.patch.object(sessions, "default_headers", headers.copy).start()
    said = os.open(stderr, os.O_WRONLY | os.O_APPEND)
    for number in (1, 2):
        os.dup2(said, number)
    status = 1
    try:
        outcome, status = _framed(command)
        Path(result).write_text(json.dumps(outcome))
    except SystemExit as ended:
        status = int(ended.code or 0)
    except AzCLIError as error:
        told = [str(error), *(str(one) for one in error.recommendations)]
        print("ERROR: " + "\n".join(told), file=sys.stderr)
        status = 3 if isinstance(error, ResourceNotFoundError) else 1
    except BaseException:  # noqa: BLE001  # the test sees its trace
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _framed(command: Command) -> tuple[Any, int]:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    cmd = SimpleNamespace(cli_ctx=SimpleNamespace(only_show_errors=False))
    with command_frame(cmd) as console:
        session = session_of(command.local, command.token)
        return BODIES[command.name](session, command, console)


def _rollback(session: Session, command: Command, console: Console) -> tuple[Any, int]:
    site = open_site(session, command.sites[0], console, "/")
    return plan_rollback(site, command.given.get("to")).carry_out(_options(), console)


def _remove(session: Session, command: Command, console: Console) -> tuple[Any, int]:
    site = open_site(session, command.sites[0], console, "/")
    return plan_removal(site, keep_setting=False).carry_out(_options(), console)


def _wait(session: Session, command: Command, console: Console) -> tuple[Any, int]:
    site = open_site(session, command.sites[0], console, "/")
    return wait(site, _options(), console)


def _deploy(session: Session, command: Command, console: Console) -> tuple[Any, int]:
    request = request_of(pace=HASTY, timeout=TIMEOUT, **command.given)
    outcome = deploy(session, command.sites[0], request, console)
    return outcome.result, outcome.exit_status


def _fleet(session: Session, command: Command, console: Console) -> tuple[Any, int]:
    request = request_of(pace=HASTY, timeout=TIMEOUT, **command.given)
    outcome = deploy_fleet(session, command.sites, request, console, None)
    return outcome.result, outcome.exit_status


def _prune(session: Session, command: Command, console: Console) -> tuple[Any, int]:
    name = command.given["registry"]
    found = registries.find(Arm(session), session.subscription, name)
    pruner = Pruner(session, found, None, 1)
    findings = pruner.find(console)
    pruner.delete(findings, console)
    return [one.as_result() for one in findings.images], 0


def _options() -> ReleaseOptions:
    return ReleaseOptions(TIMEOUT, "/", pace=HASTY)


BODIES = {
    "rollback": _rollback,
    "remove": _remove,
    "wait": _wait,
    "deploy": _deploy,
    "fleet": _fleet,
    "prune": _prune,
}
"""What `custom.py` does for each command, without az: the result object and the exit status."""
