"""What `otelcol validate` has found, from its output. Pure.

Its errors (open-telemetry/opentelemetry-collector v0.150.0): `service::pipelines::traces: message`,
one on a line, from xconfmap.Validate; or one error of confmap's decoder, over several paragraphs,
each beginning with a key in quotes. cobra prints them behind `Error: `, and the collector's `main`
once more behind the time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from azext_otelembed.collector.config import Config
from azext_otelembed.collector.problem import Problem
from azext_otelembed.collector.yaml_document import Node
from azext_otelembed.validation.placeholders import depends_on_unknown

_START = "Error: "
_AGAIN = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d ")
_PLACED = re.compile(r"([a-z]+(?:::[^\s:]+)+): (.+)")
_DECODING = re.compile(r"cannot unmarshal the configuration|decoding failed due to")
_KEY = re.compile(r"^\s*(?:\* )?'([^']*)'", re.MULTILINE)
_NAME = re.compile(r"[^.\[\]:]+")
_COMPONENT = re.compile(r"error reading configuration for \"([^\"]+)\"")
_INVALID_KEYS = re.compile(r"has invalid keys: (\S+)")
_SECTIONS = ("receivers", "processors", "exporters", "connectors", "extensions", "service")
# Here, the container's files aren't there, and the sandbox refuses others.
_ELSEWHERE = re.compile(
    r"no such file or directory|permission denied|operation not permitted|must exist"
)
_LONGEST = 500


def problems_of(lines: Sequence[str], config: Config) -> list[Problem]:
    """The problems in the output of a run that ended with status 1; none if it tells no error.

    What depends on a variable of the site, or on a file of the container, is a warning.
    """
    text = _error_text(lines)
    found = []
    if _DECODING.search(text):
        found.append(_decoding_problem(text, config))
    else:
        for path, message in _placed(text):
            found.append(_problem(path, message, config))
    return found


def _error_text(lines: Sequence[str]) -> str:
    kept: list[str] = []
    for line in lines:
        if not kept and not line.startswith(_START):
            continue
        if kept and (_AGAIN.match(line) or line.startswith("The command '")):
            break
        kept.append(line.removeprefix(_START) if not kept else line)
    return "\n".join(kept).strip()


def _placed(text: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Each error with its path; a line without one belongs to the error before."""
    path: tuple[str, ...] = ()
    message = ""
    for line in text.splitlines():
        match = _PLACED.fullmatch(line.strip())
        if match is None:
            message = f"{message} {line.strip()}".strip()
            continue
        if message:
            yield path, message
        path, message = tuple(match[1].split("::")), match[2]
    if message:
        yield path, message


def _decoding_problem(text: str, config: Config) -> Problem:
    # `'service.pipelines[traces].receivers'`: the keys below each other.
    names = [name for key in _KEY.findall(text) for name in _NAME.findall(key)]
    component = _COMPONENT.search(text)
    path: tuple[str, ...] = ()
    if names and names[0] in _SECTIONS:
        path = (names[0], *((component[1],) if component else ()))
        for name in names[1:]:
            if config.root.find(*path, name) is None:
                break
            path = (*path, name)
    wrong = _INVALID_KEYS.search(text)
    if wrong is not None:
        path = (*path, wrong[1].rstrip(","))
    said = [line.strip() for line in text.splitlines() if line.strip()]
    return _problem(path, " ".join(dict.fromkeys(said[-2:])), config)


def _problem(path: tuple[str, ...], message: str, config: Config) -> Problem:
    node: Node | None = config.root
    for end in range(len(path), 0, -1):
        node = config.root.find(*path[:end])
        if node is not None:
            break
    advice, is_error = "", True
    if _ELSEWHERE.search(message):
        advice, is_error = "The container may have that file: it isn't known here.", False
    elif path and node is not None and _may_be_the_placeholder(node, message):
        advice = "It depends on a variable of the site, which has a placeholder here."
        is_error = False
    said = message if len(message) <= _LONGEST else f"{message[:_LONGEST]} …"
    place = node if path and node is not None and node is not config.root else None
    return Problem(
        place.line if place else None,
        "::".join(path),
        f"otelcol validate: {said}",
        is_error,
        advice,
        place.file if place else "",
    )


def _may_be_the_placeholder(node: Node, message: str) -> bool:
    """Whether another value of a variable may be right: by the keys that the message names."""
    if "invalid keys" in message or "references " in message:
        return False
    words = set(re.findall(r"\w+", message))
    named = [leaf for path, leaf in node.leaves() if path and path[-1] in words]
    return any(map(depends_on_unknown, named or [node]))
