"""The recordings of real Azure, and how an answer of the double is held against one."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "azure-samples"
"""Outside the repository: a clone elsewhere hasn't got it, and the tests say so."""

EXACT = ("content-type", "x-ms-failure-cause", "docker-distribution-api-version")
"""Headers whose values are compared; x-ms-failure-cause tells who made an error."""

PRESENT = (
    "access-control-expose-headers",
    "accept-ranges",
    "azure-asyncoperation",
    "content-range",
    "docker-content-digest",
    "docker-upload-uuid",
    "etag",
    "link",
    "location",
    "oci-filters-applied",
    "range",
    "www-authenticate",
    "x-ms-blob-type",
    "x-ms-meta-complete",
)
"""Headers that both have or neither has. The recorder dropped others (retry-after, request ids),
so that their absence there proves nothing.
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """One recorded exchange. Header names are lower case; a repeated header's first value."""

    name: str
    method: str
    url: str
    request_body: Any
    status: int
    headers: dict[str, str]
    body: Any


def load(name: str) -> Sample:
    """A recording by its file name without `.json`."""
    document = json.loads((FOLDER / f"{name}.json").read_bytes())
    request, response = document["request"], document["response"]
    headers = {
        key.lower(): value[0] if isinstance(value, list) else str(value)
        for key, value in response["headers"].items()
    }
    return Sample(
        name,
        request["method"],
        request["url"],
        request.get("body"),
        response["status"],
        headers,
        response.get("body"),
    )


def names() -> set[str]:
    """The names of all recordings."""
    return {path.stem for path in FOLDER.glob("*.json")}


def differences(sample: Sample, answer: httpx.Response, allowed: Iterable[str]) -> list[str]:
    """What of status, headers and shape of the body isn't as recorded.

    `allowed` are patterns of what may differ, such as `header etag` or `properties.tags*`.
    """
    patterns = list(allowed)
    found = [*_status(sample, answer), *_headers(sample, answer), *_bodies(sample, answer)]
    return [
        f"{where}: {what}"
        for where, what in found
        if not any(fnmatch.fnmatchcase(where, pattern) for pattern in patterns)
    ]


def _status(sample: Sample, answer: httpx.Response) -> Iterator[tuple[str, str]]:
    if answer.status_code != sample.status:
        text = answer.text[:300]
        yield "status", f"recorded {sample.status}, got {answer.status_code}: {text}"


def _headers(sample: Sample, answer: httpx.Response) -> Iterator[tuple[str, str]]:
    for name in EXACT:
        recorded, got = sample.headers.get(name), answer.headers.get(name)
        if recorded != got:
            yield f"header {name}", f"recorded {recorded!r}, got {got!r}"
    for name in PRESENT:
        if (name in sample.headers) != (name in answer.headers):
            which = "recorded" if name in sample.headers else "not recorded"
            yield f"header {name}", f"{which}; got {answer.headers.get(name)!r}"
    if "location" in sample.headers and "location" in answer.headers:
        expected, found = _form(sample.headers["location"]), _form(answer.headers["location"])
        if expected != found:
            yield "header location", f"recorded {expected}, got {found}"


def _form(address: str) -> tuple[str, tuple[str, ...]]:
    """Whether an address is absolute, and the names in its query."""
    kind = "relative" if address.startswith("/") else "absolute"
    _, _, query = address.partition("?")
    return kind, tuple(part.partition("=")[0] for part in query.split("&") if part)


def _bodies(sample: Sample, answer: httpx.Response) -> Iterator[tuple[str, str]]:
    if sample.method == "HEAD":
        return
    if isinstance(sample.body, dict | list):
        try:
            got = answer.json()
        except ValueError:
            yield "body", f"recorded JSON, got {answer.text[:200]!r}"
            return
        yield from _shape("", sample.body, got)
    elif sample.body is None and answer.content:
        yield "body", f"recorded empty, got {answer.text[:200]!r}"
    elif sample.body is not None and not answer.content:
        yield "body", "recorded a body, got none"


def _shape(where: str, recorded: Any, got: Any) -> Iterator[tuple[str, str]]:
    if _kind(recorded) != _kind(got):
        yield where.lstrip("."), f"recorded {_kind(recorded)}, got {_kind(got)}"
    elif isinstance(recorded, dict):
        for key in recorded.keys() | got.keys():
            below = f"{where}.{key}"
            if key not in got:
                yield below.lstrip("."), "is missing"
            elif key not in recorded:
                yield below.lstrip("."), "isn't in the recording"
            else:
                yield from _shape(below, recorded[key], got[key])
    elif isinstance(recorded, list) and recorded:
        if not got:
            yield f"{where}[]".lstrip("."), "is empty"
        for element in got:
            # Elements may be of several shapes: the nearest counts.
            tries = [list(_shape(f"{where}[]", each, element)) for each in recorded]
            yield from min(tries, key=len)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    kinds = {dict: "object", list: "array", str: "text", type(None): "null"}
    return kinds.get(type(value), "number")
