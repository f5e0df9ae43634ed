"""The parts of Azure's answers: each has the shape it should have, or is an error that names it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from azext_otelembed.errors import AzureFailed

Json = dict[str, Any]

_KINDS = ((dict, "an object"), (list, "a list"), (str, "text"), (bool, "true or false"))


def whole(what: str, value: object) -> Json:
    """An answer, or an entry of a list: an object. `what` names it in errors (`AzureFailed`)."""
    if not isinstance(value, dict):
        raise _wrong(what, value, "an object")
    return value


def part(what: str, answer: Mapping[str, Any], name: str) -> Json:
    """The object under a name; empty where there is none, or null."""
    value = answer.get(name)
    return {} if value is None else whole(f"{what} ({name})", value)


def parts(what: str, answer: Mapping[str, Any], name: str) -> list[Json]:
    """The objects in the list under a name; none where there is no list, or null."""
    return [whole(f"{what} ({name})", entry) for entry in _list(what, answer, name)]


def texts(what: str, answer: Mapping[str, Any], name: str) -> list[str]:
    """The texts in the list under a name; none where there is no list, or null."""
    found = _list(what, answer, name)
    return [text(what, {name: entry}, name) for entry in found]


def text(what: str, answer: Mapping[str, Any], name: str) -> str:
    """The text under a name, which must be there."""
    value = answer.get(name)
    if not isinstance(value, str) or not value:
        raise _wrong(f"{what} ({name})", value, "text")
    return value


@contextmanager
def modelled(what: str) -> Iterator[None]:
    """Around an SDK that reads answers into models: odd ones make it raise whatever comes.

    Failed requests are to be caught within: `arm.explained`.
    """
    try:
        yield
    except (AttributeError, TypeError, LookupError, ValueError, RecursionError):
        raise AzureFailed(
            f"{what}: Azure answered with something that isn't what it should be.", _AGAIN
        ) from None  # the text of theirs may quote the answer, secrets included


def _list(what: str, answer: Mapping[str, Any], name: str) -> list[Any]:
    value = answer.get(name)
    if value is not None and not isinstance(value, list):
        raise _wrong(f"{what} ({name})", value, "a list")
    return value or []


def _wrong(what: str, value: object, expected: str) -> AzureFailed:
    null = "nothing" if value is None else "a number"
    found = next((words for kind, words in _KINDS if isinstance(value, kind)), null)
    return AzureFailed(f"{what}: Azure answered with {found} in place of {expected}.", _AGAIN)


_AGAIN = (
    "Run the same command again; if it repeats, look for a proxy that changes what Azure answers."
)
