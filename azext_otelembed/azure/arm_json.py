"""Typed access to Azure's JSON responses: a value of another type is an error that names it."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Mapping
from typing import Any

from azext_otelembed import strict_json
from azext_otelembed.errors import AzureFailed

Json = dict[str, Any]

AGAIN = (
    "Run the same command again; if it repeats, look for a proxy that changes what Azure answers."
)
_TYPES = ((dict, "an object"), (list, "a list"), (str, "text"), (bool, "true or false"))


def parse_object(what: str, body: bytes) -> Json:
    """The object that a response's body holds. `what` names it in errors (`AzureFailed`).

    An empty body is an error: with status 200 it doesn't mean that there is nothing to read.
    """
    if not body.strip():
        raise AzureFailed(f"{what}: Azure answered with an empty body.", AGAIN)
    try:
        value = strict_json.parse(body[len(BOM_UTF8) :] if body.startswith(BOM_UTF8) else body)
    except ValueError as error:
        raise AzureFailed(
            f"{what}: Azure answered with something other than valid JSON: {error}.", AGAIN
        ) from None
    return as_object(what, value)


def as_object(what: str, value: object) -> Json:
    """The value, which must be an object. `what` names it in errors (`AzureFailed`)."""
    if not isinstance(value, dict):
        raise _wrong_type(what, value, "an object")
    return value


def object_at(what: str, response: Mapping[str, Any], name: str) -> Json:
    """The object under a name; empty where it is missing or null."""
    value = response.get(name)
    return {} if value is None else as_object(f"{what} ({name})", value)


def required_object_at(what: str, response: Mapping[str, Any], name: str) -> Json:
    """The object under a name, which must exist; it may be empty."""
    return as_object(f"{what} ({name})", response.get(name))


def required_objects_at(what: str, response: Mapping[str, Any], name: str) -> list[Json]:
    """The objects in the list under a name, which must exist; it may be empty.

    For what is changed or deleted where the list has no entry: a missing list isn't an empty one.
    """
    if response.get(name) is None:
        raise _wrong_type(f"{what} ({name})", None, "a list")
    return objects_at(what, response, name)


def objects_at(what: str, response: Mapping[str, Any], name: str) -> list[Json]:
    """The objects in the list under a name; empty where the list is missing or null."""
    return [as_object(f"{what} ({name})", entry) for entry in _list_at(what, response, name)]


def texts_at(what: str, response: Mapping[str, Any], name: str) -> list[str]:
    """The strings in the list under a name; empty where the list is missing or null."""
    return [text_at(what, {name: entry}, name) for entry in _list_at(what, response, name)]


def text_at(what: str, response: Mapping[str, Any], name: str) -> str:
    """The string under a name, which must exist and not be empty."""
    value = response.get(name)
    if not isinstance(value, str) or not value:
        raise _wrong_type(f"{what} ({name})", value, "text")
    return value


def string_at(what: str, response: Mapping[str, Any], name: str) -> str:
    """The string under a name, which must exist; it may be empty."""
    value = response.get(name)
    if not isinstance(value, str):
        raise _wrong_type(f"{what} ({name})", value, "text")
    return value


def flag_at(what: str, response: Mapping[str, Any], name: str) -> bool:
    """The boolean under a name, which must exist."""
    value = response.get(name)
    if not isinstance(value, bool):
        raise _wrong_type(f"{what} ({name})", value, "true or false")
    return value


def _list_at(what: str, response: Mapping[str, Any], name: str) -> list[Any]:
    value = response.get(name)
    if value is not None and not isinstance(value, list):
        raise _wrong_type(f"{what} ({name})", value, "a list")
    return value or []


def _wrong_type(what: str, value: object, expected: str) -> AzureFailed:
    other = "nothing" if value is None else "a number"
    found = next((words for kind, words in _TYPES if isinstance(value, kind)), other)
    return AzureFailed(f"{what}: Azure answered with {found} in place of {expected}.", AGAIN)
