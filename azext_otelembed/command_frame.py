"""The frame around every command: signals, errors as az's own, the exit status, questions."""

from __future__ import annotations

import io
import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from azext_otelembed.console import Console
from azext_otelembed.errors import (
    BuildFailed,
    Interrupted,
    InvalidImage,
    InvalidInput,
    NotFound,
    OtelembedError,
    Unauthorized,
)
from azext_otelembed.parallel import stop_threads
from azext_otelembed.printable import one_line
from azext_otelembed.printable_log import log_handlers, make_logs_printable


def confirmed(question: str) -> bool:
    """Asks on the terminal; the default is no. Raises `InvalidInput` without a terminal."""
    from knack.prompting import NoTTYException, prompt_y_n

    try:
        return bool(prompt_y_n(one_line(question), default="n"))
    except EOFError:  # Ctrl-D, or a terminal without a person
        return False
    except NoTTYException:
        raise InvalidInput(
            "The command needs a confirmation, and standard input is not a terminal.",
            "Add --yes to skip the confirmation.",
        ) from None


@contextmanager
def command_frame(cmd: Any) -> Iterator[Console]:
    """Runs a command: handles signals, turns our errors into az's own, keeps HTTP logs off, makes
    az's log printable.

    INT and TERM end it with a line that tells the state of the site, and status 130 or 143. Threads
    that are still running write nothing after it, and send no request.
    """
    from azure.cli.core import azclierror

    # With --debug, urllib3 logs addresses, and those of operations and blobs hold signatures; it
    # warns of malformed headers with the address.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    # msal logs a token's answer that isn't valid JSON as a whole.
    logging.getLogger("msal.oauth2cli").setLevel(logging.CRITICAL)
    # azure-mgmt-web warns of an error page in place of JSON (a 503); the error reports it already.
    logging.getLogger("azure.mgmt.web").setLevel(logging.ERROR)
    make_logs_printable()
    console = Console(quiet=bool(cmd.cli_ctx.only_show_errors))
    try:
        with _signals():
            yield console
    except Interrupted as interrupted:
        name = signal.Signals(interrupted.signal).name
        _end_logs()
        state = f"otelembed: {name} received: {console.standing}."
        console.end(state, *console.standing_lines)
        raise SystemExit(128 + interrupted.signal) from None
    except OtelembedError as error:
        kinds: tuple[tuple[type[OtelembedError], Any], ...] = (
            (NotFound, azclierror.ResourceNotFoundError),
            (InvalidInput, azclierror.InvalidArgumentValueError),
            (InvalidImage, azclierror.InvalidArgumentValueError),
            (Unauthorized, azclierror.UnauthorizedError),
            (BuildFailed, azclierror.ClientRequestError),
            (OtelembedError, azclierror.AzureResponseError),
        )
        kind = next(shown for own, shown in kinds if isinstance(error, own))
        advice = error.recommendation and one_line(error.recommendation)
        raise kind(console.with_state(error.message), advice) from None


def _end_logs() -> None:
    """Nothing more is logged on stderr: threads that are still running may warn, or fail."""
    threading.excepthook = lambda _: None
    for handler in log_handlers():
        if isinstance(handler, logging.StreamHandler) and not isinstance(
            handler, logging.FileHandler
        ):
            handler.setStream(io.StringIO())


@contextmanager
def _signals() -> Iterator[None]:
    def interrupt(number: int, _frame: FrameType | None) -> None:
        stop_threads(number)
        raise Interrupted(number)

    stop_threads(0)
    before: dict[int, Any] = {}
    try:
        for number in (int(signal.SIGINT), int(signal.SIGTERM)):
            before[number] = signal.signal(number, interrupt)
        yield
    except Interrupted:
        # A second signal must not cut off the line that tells the state. Before the first one was
        # raised here it is needed: Python drops an exception that is raised in a finalizer.
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        raise
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is interrupt:
                signal.signal(number, handler)


def end_with(cmd: Any, exit_status: int) -> None:
    """Makes az end with `exit_status` after it has printed the result."""
    if exit_status == 0:
        return
    from knack.events import EVENT_CLI_SUCCESSFUL_EXECUTE

    def end(*_: Any, **__: Any) -> None:
        sys.exit(exit_status)

    cmd.cli_ctx.register_event(EVENT_CLI_SUCCESSFUL_EXECUTE, end)


def person_reads(cmd: Any) -> bool:
    """Whether stdout is a terminal and no output format or query was asked for."""
    configured = cmd.cli_ctx.config.get("core", "output", fallback="json")
    return sys.stdout.isatty() and not format_asked(cmd) and configured == "json"


def format_asked(cmd: Any) -> bool:
    """Whether -o or --query was given."""
    return bool({"-o", "--output", "--query"} & set(cmd.cli_ctx.data.get("safe_params") or ()))
