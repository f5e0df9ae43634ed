"""A collector's configuration: checked before it is put into an image.

Inside the container the collector's output goes to /dev/null, so a mistake would show nowhere. A
mistake that makes the collector exit at start is an error here, an unusual one a warning.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources

from azext_otelembed.collector import listen_addresses
from azext_otelembed.collector.yaml_document import Node, parse
from azext_otelembed.errors import InvalidConfig

# With its manifest, its image's configuration and this, an embed sends less than 64 KB.
MAX_BYTES = 48 * 1024

_SECTIONS = {"receivers", "processors", "exporters", "connectors", "extensions"}
_SIGNALS = ("traces", "metrics", "logs", "profiles")
_ID = re.compile(r"[A-Za-z][0-9A-Za-z_]{0,62}(/[^\s/].{0,1023})?", re.ASCII)
_GUID = r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}"
_KEY_IN_CLEAR = re.compile(rf"instrumentation_?key[\"']?\s*[=:]\s*[\"']?{_GUID}", re.IGNORECASE)
_SECRET_NAME = re.compile(
    r"(?:password|passwd|secret|token|api_?key|access_?key|authorization)$", re.IGNORECASE
)
_EXPORTER = "azuremonitor"


@dataclass(frozen=True, slots=True)
class Checked:
    """A configuration that can work.

    `warnings` are sentences. `memory_mib` is the GOMEMLIMIT that fits its memory_limiter, 80 % of
    `limit_mib` as its authors advise; None when it has no limiter or one relative to the machine.
    """

    warnings: tuple[str, ...]
    memory_mib: int | None


def default() -> bytes:
    """The configuration that is used when none is given."""
    return resources.files("azext_otelembed.collector").joinpath("default.yml").read_bytes()


def check(text: bytes) -> tuple[str, ...]:
    """Warnings about a configuration. Raises InvalidConfig when it can't work."""
    return inspect(text).warnings


def inspect(text: bytes) -> Checked:
    """Check a configuration (YAML, UTF-8). Raises InvalidConfig when it can't work."""
    if len(text) > MAX_BYTES:
        raise InvalidConfig(
            f"The collector configuration is {len(text)} bytes long; at most {MAX_BYTES} fit."
        )
    source = _decoded(text)
    _refuse_secrets(source)
    root = parse(source)
    _check_sections(root)
    pipelines = _pipelines(root)
    used: set[str] = set()
    warnings: list[str] = []
    for name, pipeline in pipelines.items():
        used |= _check_pipeline(root, name, pipeline)
    _check_extensions(root)
    warnings += _unlimited(root, pipelines)
    warnings += listen_addresses.check(root, used)
    warnings += _odd_secrets(root)
    if not any(component.partition("/")[0] == _EXPORTER for component in used):
        warnings.append(
            f"No pipeline exports to '{_EXPORTER}': nothing will reach Application Insights."
        )
    return Checked(tuple(warnings), _memory(root, used))


def _decoded(text: bytes) -> str:
    try:
        source = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text[: error.start].count(b"\n") + 1
        raise InvalidConfig(
            "the collector configuration is not UTF-8 text.", "Save it as UTF-8.", line
        ) from error
    if "\0" in source:
        raise InvalidConfig("The collector configuration is not text.", "Save it as UTF-8.")
    return source


def _refuse_secrets(source: str) -> None:
    # Read from the text, not the document: what stands in a comment would be published as well.
    for number, line in enumerate(source.splitlines(), 1):
        if _KEY_IN_CLEAR.search(line):
            raise InvalidConfig(
                "an instrumentation key stands here in the clear; whoever can pull the image "
                "could read it.",
                "Write ${env:APPLICATIONINSIGHTS_CONNECTION_STRING} instead: the value is kept "
                "as an app setting.",
                number,
            )


def _check_sections(root: Node) -> None:
    for name, section in root.items():
        if name == "service":
            continue
        if name not in _SECTIONS:
            raise InvalidConfig(
                f"the collector knows no section '{name}'.",
                f"Sections are {', '.join(sorted(_SECTIONS))} and service.",
                section.line,
            )
        if not section.is_map and not section.is_null:
            raise InvalidConfig(f"'{name}' must be a mapping.", line=section.line)
        for identifier, component in section.items():
            if not _ID.fullmatch(identifier):
                raise InvalidConfig(
                    f"'{identifier}' is not a component's name: type or type/name is expected.",
                    line=component.line,
                )
            if not component.is_map and not component.is_null:
                raise InvalidConfig(
                    f"the settings of '{identifier}' must be a mapping.", line=component.line
                )


def _pipelines(root: Node) -> dict[str, Node]:
    service = root.get("service")
    if service is None:
        raise InvalidConfig("The collector configuration has no 'service' section.")
    pipelines = service.get("pipelines")
    found = dict(pipelines.items()) if pipelines is not None else {}
    if not found:
        raise InvalidConfig("the service has no pipelines.", line=service.line)
    return found


def _check_pipeline(root: Node, name: str, pipeline: Node) -> set[str]:
    """Check one pipeline; the names of the components it uses."""
    if name.partition("/")[0] not in _SIGNALS:
        raise InvalidConfig(
            f"pipeline '{name}' carries no known signal ({', '.join(_SIGNALS)}).",
            line=pipeline.line,
        )
    used: set[str] = set()
    for role, sections in (
        ("receivers", ("receivers", "connectors")),
        ("processors", ("processors",)),
        ("exporters", ("exporters", "connectors")),
    ):
        listed = pipeline.get(role)
        names = _names(listed, f"'{role}' of pipeline '{name}'") if listed is not None else []
        if not names and role != "processors":
            raise InvalidConfig(f"pipeline '{name}' has no {role}.", line=pipeline.line)
        for component, line in names:
            if not any(_defined(root, section, component) for section in sections):
                raise InvalidConfig(
                    f"pipeline '{name}' references {role[:-1]} '{component}', "
                    "which is not configured.",
                    line=line,
                )
            used.add(component)
    return used


def _unlimited(root: Node, pipelines: dict[str, Node]) -> list[str]:
    """A warning when telemetry from outside meets no memory_limiter first."""
    found = []
    for name, pipeline in pipelines.items():
        processors, receivers = pipeline.get("processors"), pipeline.get("receivers")
        first = next((item.text for item in processors.elements()), None) if processors else None
        sources = [item.text or "" for item in receivers.elements()] if receivers else []
        outside = any(_defined(root, "receivers", source) for source in sources)
        if outside and (first or "").partition("/")[0] != "memory_limiter":
            found.append(f"'{name}'")
    if not found:
        return []
    return [
        f"What enters by {', '.join(found)} doesn't pass a memory_limiter first: "
        "a burst of telemetry can take memory from the app."
    ]


def _check_extensions(root: Node) -> None:
    listed = root.find("service", "extensions")
    for name, line in _names(listed, "'extensions' of the service") if listed is not None else []:
        if not _defined(root, "extensions", name):
            raise InvalidConfig(
                f"the service references extension '{name}', which is not configured.", line=line
            )


def _names(node: Node, what: str) -> list[tuple[str, int]]:
    if node.is_null:
        return []
    if not node.is_list:
        raise InvalidConfig(f"{what} must be a list of names.", line=node.line)
    found = []
    for item in node.elements():
        if item.text is None:
            raise InvalidConfig(f"{what} must be a list of names.", line=item.line)
        found.append((item.text, item.line))
    return found


def _defined(root: Node, section: str, name: str) -> bool:
    components = root.get(section)
    return components is not None and components.get(name) is not None


def _odd_secrets(root: Node) -> list[str]:
    found = []
    for path, node in root.leaves():
        text = node.text or ""
        if path and _SECRET_NAME.search(path[-1]) and text and "${" not in text:
            found.append(
                f"Line {node.line}: '{'.'.join(path)}' stands in the clear in an image that others "
                "may pull; ${env:NAME} takes it from an app setting."
            )
    return found


def _memory(root: Node, used: set[str]) -> int | None:
    limits = []
    for name in used:
        if name.partition("/")[0] != "memory_limiter":
            continue
        node = root.find("processors", name, "limit_mib")
        if node is None or node.text is None or not node.text.isascii():
            return None
        if not node.text.isdigit() or int(node.text) < 10:
            return None
        limits.append(int(node.text))
    return min(limits) * 4 // 5 if limits else None
