"""Everything that can go wrong, with its exit status and what to type next.

The packages raise these; `command_frame` alone turns them into the Azure CLI's own errors.
A message names the thing, what was expected of it and, in the recommendation, the next command.
No message ever holds a connection string, another app setting, a token or a SAS signature.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

UNCHANGED = "nothing was changed"
"""What state things are in until something is known to have changed."""


class OtelembedError(Exception):
    """Base of all errors. `exit_status` is what `az otelembed` ends with."""

    exit_status = 1
    refused = False
    """Whether it is certain that the call changed nothing."""

    def __init__(self, message: str, recommendation: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.recommendation = recommendation


class NotFound(OtelembedError):
    """A site, slot, group, registry, image or component is not there."""

    exit_status = 3
    refused = True


class InvalidInput(OtelembedError):
    """What the caller gave can't be used: a reference, a file, a connection string."""


class Refused(OtelembedError):
    """The site or its image is of a kind that can't be embedded."""


class InvalidConfig(InvalidInput):
    """A collector configuration or a connection string that can't work.

    The message starts with the line, where there is one (`line` counts from 1), and never repeats
    a value that may be secret.
    """

    def __init__(
        self, message: str, recommendation: str | None = None, line: int | None = None
    ) -> None:
        super().__init__(message if line is None else f"line {line}: {message}", recommendation)
        self.line = line


class InvalidImage(Refused):
    """An image, its name, or a document that describes it can't be used."""


class Unauthorized(OtelembedError):
    """Azure or a registry doesn't let the caller do it (401 or 403)."""

    refused = True


class AzureFailed(OtelembedError):
    """Azure Resource Manager answered with an error, or not at all.

    `retry_after`: the seconds that its answer asked to wait, if it did.
    """

    def __init__(
        self,
        message: str,
        recommendation: str | None = None,
        *,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, recommendation)
        self.status = status
        self.retry_after = retry_after
        self.refused = status is not None and 400 <= status < 500


class RegistryFailed(OtelembedError):
    """A registry answered with an error, or with content that doesn't match its digest."""

    def __init__(
        self, message: str, recommendation: str | None = None, *, status: int | None = None
    ) -> None:
        super().__init__(message, recommendation)
        self.status = status


class BuildFailed(OtelembedError):
    """The app image can't be built from source: no engine, a failed build, a failed push."""


class Interrupted(BaseException):
    """INT or TERM came; `signal` is its number and the exit status is 128 more.

    Not an `Exception`: nothing on the way up may take it for a failure to handle.
    """

    def __init__(self, signal: int) -> None:
        super().__init__(signal)
        self.signal = signal


@contextmanager
def about(what: str) -> Iterator[None]:
    """Puts `what` before the message of an `InvalidImage` or `InvalidConfig` raised inside.

    A message that names `what` already stays as it is.
    """
    found: InvalidImage | InvalidConfig | None = None
    try:
        yield
    except (InvalidImage, InvalidConfig) as error:
        if what in error.message:
            raise
        found = error
    if found is not None:
        raise type(found)(f"{what}: {found.message}", found.recommendation)
