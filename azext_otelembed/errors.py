"""All errors, grouped by what the user was doing.

    OtelembedError
      InvalidInput       an argument, a file or a connection string is invalid
        InvalidConfig    a collector configuration or a connection string is invalid
      Refused            the site or its image is of an unsupported kind
        InvalidImage     an image, its name, or a document that describes it is invalid
      NotFound           a resource or an image doesn't exist
      Unauthorized       Azure or a registry denies access (401 or 403)
      AzureFailed        Azure Resource Manager responded with an error, or not at all
      RegistryFailed     a registry responded with an error or with corrupt content, or not at all
      BuildFailed        the app image can't be built from source
      DeadlineExceeded   the time of the command is up
    Interrupted          INT or TERM ended the command; not an `Exception`

`command_frame` translates them into the Azure CLI's own errors. A message names the object and the
cause; the recommendation is the next command. Neither ever holds a connection string, another app
setting, a token or a SAS signature.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

UNCHANGED = "nothing was changed"
"""The state that an interrupt reports until a command has changed something."""


class OtelembedError(Exception):
    """Base of all errors. `exit_status` is the exit status of `az otelembed`."""

    exit_status = 1
    refused = False
    """Whether the request certainly changed nothing."""

    def __init__(self, message: str, recommendation: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.recommendation = recommendation


# The arguments of a command


class InvalidInput(OtelembedError):
    """An argument, a file or a connection string is invalid."""


class InvalidConfig(InvalidInput):
    """A collector configuration or a connection string is invalid.

    The message starts with the line, counted from 1, where it is known. It never repeats a value
    that may be secret.
    """

    def __init__(
        self, message: str, recommendation: str | None = None, line: int | None = None
    ) -> None:
        super().__init__(message if line is None else f"line {line}: {message}", recommendation)
        self.reason = message
        self.line = line


# Looking at a site and its image


class Refused(OtelembedError):
    """The site or its image is of an unsupported kind."""


class InvalidImage(Refused):
    """An image, its name, or a document that describes it is invalid."""


class NotFound(OtelembedError):
    """A site, slot, resource group, registry, image or component doesn't exist."""

    exit_status = 3
    refused = True


# Requests to Azure and to registries


class Unauthorized(OtelembedError):
    """Azure or a registry denies access (401 or 403)."""

    refused = True


class AzureFailed(OtelembedError):
    """Azure Resource Manager responded with an error, or not at all.

    `status` is the HTTP status; `retry_after` are the seconds of the response's Retry-After.
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
    """A registry responded with an error or with corrupt content, or not at all.

    `status` is the HTTP status.
    """

    def __init__(
        self, message: str, recommendation: str | None = None, *, status: int | None = None
    ) -> None:
        super().__init__(message, recommendation)
        self.status = status


# Building from source


class BuildFailed(OtelembedError):
    """The app image can't be built: no container engine, a failed build, or a failed push."""


# Any command


class DeadlineExceeded(OtelembedError):
    """The time that --timeout gives is up, or that a command may take without it."""


class Interrupted(BaseException):
    """INT or TERM was received; `signal` is its number. The exit status is 128 + `signal`.

    Not an `Exception`, so that no handler of errors catches it.
    """

    def __init__(self, signal: int) -> None:
        super().__init__(signal)
        self.signal = signal


@contextmanager
def about(what: str) -> Iterator[None]:
    """Prefixes `what` to the message of an `InvalidImage` or `InvalidConfig` raised inside.

    A message that names `what` already is left unchanged.
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
