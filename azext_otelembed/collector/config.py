"""Checks a collector configuration before it is embedded in an image.

In the container the collector's output goes to /dev/null, so it would report no mistake. A mistake
that makes the collector exit at start is an error here; a suspicious setting is a warning.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from azext_otelembed.collector import listen_addresses
from azext_otelembed.collector.problem import Problem
from azext_otelembed.collector.yaml_document import Node, parse
from azext_otelembed.errors import InvalidConfig
from azext_otelembed.utf8_text import NotUtf8, decode_utf8
from azext_otelembed.whole_number import whole_number

# With the manifest and the image configuration, an embed uploads less than 64 KB.
MAX_BYTES = 48 * 1024

_SECTIONS = {"receivers", "processors", "exporters", "connectors", "extensions"}
_SIGNALS = ("traces", "metrics", "logs", "profiles")
_ID = re.compile(r"[A-Za-z][0-9A-Za-z_]{0,62}(/[^\s/].{0,1023})?", re.ASCII)
_GUID = r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}"
_PLAIN_KEY = re.compile(rf"instrumentation_?key[\"']?\s*[=:]\s*[\"']?{_GUID}", re.IGNORECASE)
_SECRET_NAME = re.compile(
    r"(?:password|passwd|secret|token|api_?key|access_?key|authorization)$", re.IGNORECASE
)
_EXPORTER = "azuremonitor"
_DEFAULT_MEMORY_MIB = 204
_LARGEST_MIB = 2**32 - 1
_LIMITS = ("limit_mib", "limit_percentage")


@dataclass(frozen=True, slots=True)
class CollectorConfig:
    """A checked configuration: the YAML file `data`, and its `warnings`, one sentence each.

    `memory_mib` is the GOMEMLIMIT that fits its memory_limiter: 80 % of `limit_mib`, as the
    limiter's documentation recommends. None if it has no limiter, or one relative to the machine.
    """

    data: bytes
    memory_mib: int | None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A configuration file: the name by which messages call it, and its content."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Config:
    """One or several files as the collector reads them.

    `root` is the merged document, an empty mapping where a file can't be read: `unreadable` says
    why. `data` is the YAML text that goes into the image.
    """

    files: tuple[ConfigFile, ...]
    data: bytes
    root: Node
    unreadable: tuple[Problem, ...] = ()


def read(files: Sequence[ConfigFile]) -> Config:
    """The files, parsed and merged; never raises: what can't be read is a problem."""
    raise NotImplementedError


def problems(config: Config) -> tuple[Problem, ...]:
    """All problems of a configuration, in the order of their lines; errors and warnings."""
    raise NotImplementedError


def check(config: Config) -> CollectorConfig:
    """The configuration for an image, with its warnings. Raises InvalidConfig for the first error."""
    raise NotImplementedError


def default() -> bytes:
    """The default configuration (YAML)."""
    return resources.files("azext_otelembed.collector").joinpath("default.yml").read_bytes()


def load(data: bytes | None) -> CollectorConfig:
    """The configuration `data` (YAML, UTF-8), checked; the default one for None.

    Raises InvalidConfig if the collector would exit at start.
    """
    if data is None:
        # Not parsed on every run: a test checks that the result is the same.
        return CollectorConfig(default(), _DEFAULT_MEMORY_MIB)
    if len(data) > MAX_BYTES:
        raise InvalidConfig(
            f"The collector configuration is {len(data)} bytes long; at most {MAX_BYTES} fit."
        )
    source = _decode(data)
    _refuse_secrets(source)
    root = parse(source)
    _check_sections(root)
    pipelines = _pipelines(root)
    used: set[str] = set()
    for name, pipeline in pipelines.items():
        used |= _check_pipeline(root, name, pipeline)
    for name, line in _names(root.find("service", "extensions"), "'extensions' of the service"):
        if root.find("extensions", name) is None:
            raise InvalidConfig(
                f"the service references extension '{name}', which is not configured.", line=line
            )
    for name in sorted(used):
        if name.partition("/")[0] == "memory_limiter":
            _check_memory_limiter(name, root.find("processors", name))
    warnings = _warn_of_missing_limiter(root, pipelines)
    warnings += listen_addresses.check(root, used)
    warnings += _warn_of_plain_secrets(root)
    if not any(component.partition("/")[0] == _EXPORTER for component in used):
        warnings.append(
            f"No pipeline exports to '{_EXPORTER}': nothing will reach Application Insights."
        )
    return CollectorConfig(data, _memory_mib(root, used), tuple(warnings))


def _decode(text: bytes) -> str:
    try:
        source = decode_utf8(text)
    except NotUtf8 as error:
        raise InvalidConfig(
            f"the collector configuration is not UTF-8 text: {error}.",
            "Save it as UTF-8.",
            error.line,
        ) from error
    if "\0" in source:
        raise InvalidConfig("The collector configuration is not text.", "Save it as UTF-8.")
    return source


def _refuse_secrets(source: str) -> None:
    # Search the text, not the document: comments are part of the image as well.
    for number, line in enumerate(source.splitlines(), 1):
        if _PLAIN_KEY.search(line):
            raise InvalidConfig(
                "this is an instrumentation key in plain text; everyone with pull access to the "
                "image could read it.",
                "Write ${env:APPLICATIONINSIGHTS_CONNECTION_STRING} instead: the value is stored "
                "in an app setting.",
                number,
            )


def _check_sections(root: Node) -> None:
    for name, section in root.items:
        if name == "service":
            continue
        if name not in _SECTIONS:
            raise InvalidConfig(
                f"'{name}' is not a section of a collector configuration.",
                f"Sections are {', '.join(sorted(_SECTIONS))} and service.",
                section.line,
            )
        if section.kind not in ("map", "null"):
            raise InvalidConfig(f"'{name}' must be a mapping.", line=section.line)
        for identifier, component in section.items:
            if not _ID.fullmatch(identifier):
                raise InvalidConfig(
                    f"'{identifier}' is not a component name (type or type/name).",
                    line=component.line,
                )
            if component.kind not in ("map", "null"):
                raise InvalidConfig(
                    f"the settings of '{identifier}' must be a mapping.", line=component.line
                )


def _pipelines(root: Node) -> dict[str, Node]:
    service = root.get("service")
    if service is None:
        raise InvalidConfig("The collector configuration has no 'service' section.")
    pipelines = service.get("pipelines")
    if pipelines is None or not pipelines.items:
        raise InvalidConfig("the service has no pipelines.", line=service.line)
    return dict(pipelines.items)


def _check_pipeline(root: Node, name: str, pipeline: Node) -> set[str]:
    """Check one pipeline; returns the names of the components that it uses."""
    if name.partition("/")[0] not in _SIGNALS:
        raise InvalidConfig(
            f"pipeline '{name}' has no known signal ({', '.join(_SIGNALS)}).", line=pipeline.line
        )
    used: set[str] = set()
    for role, sections in (
        ("receivers", ("receivers", "connectors")),
        ("processors", ("processors",)),
        ("exporters", ("exporters", "connectors")),
    ):
        names = _names(pipeline.get(role), f"'{role}' of pipeline '{name}'")
        if not names and role != "processors":
            raise InvalidConfig(f"pipeline '{name}' has no {role}.", line=pipeline.line)
        for component, line in names:
            if not any(root.find(section, component) for section in sections):
                raise InvalidConfig(
                    f"pipeline '{name}' references {role[:-1]} '{component}', "
                    "which is not configured.",
                    line=line,
                )
            used.add(component)
    return used


def _warn_of_missing_limiter(root: Node, pipelines: dict[str, Node]) -> list[str]:
    """A warning if telemetry from outside doesn't pass a memory_limiter first."""
    found = []
    for name, pipeline in pipelines.items():
        processors, receivers = pipeline.get("processors"), pipeline.get("receivers")
        first = next((item.text for item in processors.elements), None) if processors else None
        sources = [item.text or "" for item in receivers.elements] if receivers else []
        outside = any(root.find("receivers", source) for source in sources)
        if outside and (first or "").partition("/")[0] != "memory_limiter":
            found.append(f"'{name}'")
    if not found:
        return []
    return [
        f"Telemetry of {', '.join(found)} doesn't pass a memory_limiter first: "
        "a burst of it can take memory from the app."
    ]


def _check_memory_limiter(name: str, limiter: Node | None) -> None:
    """Raise InvalidConfig for whole numbers with which the collector exits at start.

    The fields are uint32, percentages end at 100, and the spike is below the limit
    (open-telemetry/opentelemetry-collector, internal/memorylimiter/config.go).
    """
    given = [key for key in _LIMITS if limiter is not None and limiter.get(key) is not None]
    only = given[0] if len(given) == 1 else ""
    for limit, spike, largest in (
        ("limit_mib", "spike_limit_mib", _LARGEST_MIB),
        ("limit_percentage", "spike_limit_percentage", 100),
    ):
        numbers: list[int] = []
        for key in (limit, spike):
            node = limiter.get(key) if limiter is not None else None
            text = (node.text if node is not None else None) or ""
            number = whole_number(text, largest)
            invalid = number is None and re.fullmatch(r"[-+]?[0-9]+", text)
            if node is not None and (invalid or (number == 0 and key == only)):
                raise InvalidConfig(
                    f"'{key}' of '{name}' must be a number from 1 to {largest}.", line=node.line
                )
            numbers.append(number or 0)
        if limiter is not None and 0 < numbers[0] <= numbers[1]:
            raise InvalidConfig(
                f"'{spike}' of '{name}' must be smaller than its '{limit}'.", line=limiter.line
            )


def _names(node: Node | None, what: str) -> list[tuple[str, int]]:
    if node is None or node.kind == "null":
        return []
    found = []
    for item in node.elements if node.kind == "list" else (node,):
        if item.text is None or node.kind != "list":
            raise InvalidConfig(f"{what} must be a list of names.", line=item.line)
        found.append((item.text, item.line))
    return found


def _warn_of_plain_secrets(root: Node) -> list[str]:
    found = []
    for path, node in root.leaves():
        text = node.text or ""
        if path and _SECRET_NAME.search(path[-1]) and text and "${" not in text:
            found.append(
                f"Line {node.line}: '{'.'.join(path)}' is in plain text in the image; "
                "${env:NAME} reads it from an app setting."
            )
    return found


def _memory_mib(root: Node, used: set[str]) -> int | None:
    limits = []
    for name in used:
        if name.partition("/")[0] != "memory_limiter":
            continue
        node = root.find("processors", name, "limit_mib")
        limit = whole_number((node.text if node is not None else None) or "", _LARGEST_MIB)
        if limit is None or limit < 10:
            return None
        limits.append(limit)
    return min(limits) * 4 // 5 if limits else None
