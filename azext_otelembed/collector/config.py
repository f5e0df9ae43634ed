"""Reads and checks a collector configuration before it is embedded in an image.

In the container the collector's output goes to /dev/null, so it would report no mistake. A mistake
that makes the collector exit at start is an error here; a suspicious setting is a warning.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from importlib import resources

from azext_otelembed.collector import (
    component_sections,
    component_settings,
    expansion,
    exporter_setting,
    extension_references,
    known_keys,
    listen_addresses,
    plain_secrets,
    settings_check,
)
from azext_otelembed.collector.component_id import component_id, component_type
from azext_otelembed.collector.component_types import release
from azext_otelembed.collector.expansion import environment_names, unknown
from azext_otelembed.collector.pipelines import Pipeline, check_pipelines, pipelines
from azext_otelembed.collector.problem import Problem
from azext_otelembed.collector.service_section import check_service
from azext_otelembed.collector.yaml_document import Node, merge, parse
from azext_otelembed.collector.yaml_text import yaml_text
from azext_otelembed.errors import InvalidConfig
from azext_otelembed.utf8_text import NotUtf8, decode_utf8, is_utf16

# With the manifest and the image configuration, an embed uploads less than 64 KB.
MAX_BYTES = 48 * 1024

_DEFAULT_MEMORY_MIB = 204


@dataclass(frozen=True, slots=True)
class CollectorConfig:
    """A checked configuration: the YAML file `data`, and its `warnings`, one sentence each.

    `memory_mib` is the GOMEMLIMIT that fits its memory_limiter: 80 % of `limit_mib`, as the
    limiter's documentation recommends. None if it has no limiter, or one relative to the machine.
    `source` has the files that it was read from; None for the default configuration.
    """

    data: bytes
    memory_mib: int | None
    warnings: tuple[str, ...] = ()
    source: Config | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A configuration file: the name by which messages call it, and its content."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Config:
    """One or several files as the collector reads them.

    `root` is the merged document, an empty mapping where a file can't be read. `data` is the YAML
    text in UTF-8: that of a single file, else what the merge gives, without comments. `found` are
    the problems of the files themselves.
    """

    files: tuple[ConfigFile, ...]
    data: bytes
    root: Node
    found: tuple[Problem, ...] = ()


def default() -> bytes:
    """The default configuration (YAML)."""
    return resources.files("azext_otelembed.collector").joinpath("default.yml").read_bytes()


def read(files: Sequence[ConfigFile]) -> Config:
    """The files, parsed and merged; what can't be read is a problem of the result.

    Without files: the default configuration.
    """
    given = tuple(files) or (ConfigFile("", default()),)
    read_files = [_read(file) for file in given]
    found = tuple(problem for _, _, problems_of_file in read_files for problem in problems_of_file)
    root = reduce(merge, (root for root, _, _ in read_files))
    if len(given) == 1:
        return Config(given, read_files[0][1], root, found)
    data = yaml_text(root)
    if len(data) > MAX_BYTES:  # aliases are written out
        found += (Problem.from_error(_too_long(len(data)), ""),)
    return Config(given, data, root, found)


def problems(config: Config, *, exact: bool = True) -> tuple[Problem, ...]:
    """All problems of a configuration: errors and warnings, each in the order of the lines.

    `exact` says that the collector image is the release whose components are known; for another
    image, components that this release lacks are warnings.
    """
    found = list(config.found)
    if not any(problem.is_error for problem in found):
        found += _problems(config.root, exact=exact)

    whole = ", ".join(file.name for file in config.files)
    found = [one if one.file else replace(one, file=whole) for one in found]

    def order(one: Problem) -> tuple[bool, bool, str, int]:
        return not one.is_error, one.line is None, one.file, one.line or 0

    return tuple(sorted(dict.fromkeys(found), key=order))


def check(config: Config, *, exact: bool = True) -> CollectorConfig:
    """The configuration for an image. Raises InvalidConfig for the first error."""
    found = problems(config, exact=exact)
    errors = [problem for problem in found if problem.is_error]
    if errors:
        raise errors[0].as_error(len(errors) - 1, [file.name for file in config.files])
    warnings = tuple(problem.sentence for problem in found)
    return CollectorConfig(config.data, _memory_mib(config.root), warnings, config)


def load(data: bytes | None) -> CollectorConfig:
    """The configuration `data` (YAML), checked; the default one for None.

    Raises InvalidConfig if the collector would exit at start.
    """
    if data is None:
        # Not parsed on every run: a test checks that the result is the same.
        return CollectorConfig(default(), _DEFAULT_MEMORY_MIB)
    return check(read([ConfigFile("", data)]))


def listening_ports(data: bytes) -> dict[int, str]:
    """The TCP ports on which the collector listens with a checked configuration, each with the
    component that does. Ports that come from the environment aren't known.
    """
    root = read([ConfigFile("", data)]).root
    return listen_addresses.ports(root, _used(pipelines(root)))


def required_variables(data: bytes) -> tuple[str, ...]:
    """The environment variables that a checked configuration reads, without a default of its own.

    The default configuration reads only what App Service and the launcher set.
    """
    if data == default():
        return ()
    root = read([ConfigFile("", data)]).root
    found = environment_names(root)
    return tuple(dict.fromkeys(name for name, has_default, _ in found if not has_default))


def uses_azuremonitor(data: bytes) -> bool | None:
    """Whether a pipeline of a checked configuration sends with the azuremonitor exporter.

    None if that depends on the environment (`exporters: ${env:…}`, `pipelines: ${file:…}`).
    """
    if data == default():
        return True
    return _uses_azuremonitor(read([ConfigFile("", data)]).root)


def _uses_azuremonitor(root: Node) -> bool | None:
    exporters = [pipeline.roles["exporters"] for pipeline in pipelines(root)]
    names = (name for one in exporters for name in one.identifiers)
    if any(component_type(name) in exporter_setting.TYPES for name in names):
        return True
    section = root.find("service", "pipelines")
    each = section.items if section is not None else ()
    given = (root.get("service"), section, *(node for _, node in each))
    is_known = all(one.all_known for one in exporters) and not any(map(unknown, given))
    return False if is_known else None


def signs_in(data: bytes) -> bool:
    """Whether the azuremonitor exporters of a checked configuration sign in with Entra ID."""
    if data == default():
        return False
    root = read([ConfigFile("", data)]).root
    return exporter_setting.signs_in(root, _used(pipelines(root)))


def _read(file: ConfigFile) -> tuple[Node, bytes, list[Problem]]:
    """Root, text in UTF-8 and problems of one file."""
    nothing = Node("map", 1, file=file.name)
    try:
        source, data = _decode(file.data)
    except InvalidConfig as error:
        return nothing, file.data, [Problem.from_error(error, file.name)]
    found = list(plain_secrets.check_text(source, file.name))
    try:
        document = parse(source, file.name)
    except InvalidConfig as error:
        return nothing, data, [*found, Problem.from_error(error, file.name)]
    if document.second is not None:
        message = "the collector reads the first document only; what follows '---' is ignored."
        found.append(Problem(document.second, "", message, False, file=file.name))
    return document.root, data, found


def _decode(data: bytes) -> tuple[str, bytes]:
    """The text, and its bytes in UTF-8: the collector reads UTF-16 with a byte order mark, too."""
    if len(data) > MAX_BYTES * (2 if is_utf16(data) else 1):
        raise _too_long(len(data))
    try:
        if is_utf16(data):
            source = data.decode("utf-16")
            return source, source.encode()
        return decode_utf8(data), data
    except NotUtf8 as error:
        raise InvalidConfig(
            f"the collector configuration is not UTF-8 text: {error}.",
            "Save it as UTF-8.",
            error.line,
        ) from error
    except UnicodeError as error:
        raise InvalidConfig(
            "the collector configuration is not UTF-16 text.", "Save it as UTF-8."
        ) from error


def _too_long(size: int) -> InvalidConfig:
    return InvalidConfig(
        f"The collector configuration is {size} bytes long; at most {MAX_BYTES} fit.",
        "Remove comments, and what repeats the defaults.",
    )


def _problems(root: Node, *, exact: bool) -> Iterator[Problem]:
    known = release()
    yield from component_sections.check_sections(root)
    yield from component_sections.check_types(root, known, exact=exact)
    yield from component_sections.check_addresses(root)
    yield from component_settings.check_settings(root)
    yield from known_keys.check_keys(root, exact=exact)
    service = root.get("service")
    if service is not None:
        yield from settings_check.mapping(service, ("service",))
        yield from check_service(service)
    yield from check_pipelines(root)
    yield from expansion.check(root, known.schemes, known.name)
    yield from plain_secrets.check_values(root)
    found = pipelines(root)
    if not found or unknown(service) or unknown(root.find("service", "pipelines")):
        return
    used = _used(found)
    yield from listen_addresses.check(root, used)
    yield from exporter_setting.check(root, used)
    yield from extension_references.check(root, used)
    yield from _missing_limiter(root, found)
    if _uses_azuremonitor(root) is False:
        name = exporter_setting.EXPORTER
        message = f"No pipeline exports to '{name}': nothing will reach Application Insights."
        yield Problem(None, "service::pipelines", message, is_error=False)


def _used(found: Sequence[Pipeline]) -> frozenset[str]:
    roles = (names for pipeline in found for names in pipeline.roles.values())
    return frozenset(name for names in roles for name in names.identifiers)


def _missing_limiter(root: Node, found: Sequence[Pipeline]) -> Iterator[Problem]:
    """A warning if telemetry from outside doesn't pass a memory_limiter first."""
    receivers = root.get("receivers")
    outside = (
        {component_id(text) for text, _ in receivers.items} if receivers is not None else set()
    )
    without = []
    for pipeline in found:
        processors = pipeline.roles["processors"]
        first = next(iter(processors.identifiers), "")
        limited = component_type(first) == "memory_limiter" or not processors.all_known
        if not limited and outside.intersection(pipeline.roles["receivers"].identifiers):
            without.append(f"'{pipeline.name}'")
    if without:
        yield Problem(
            None,
            "service::pipelines",
            f"Telemetry of {', '.join(without)} doesn't pass a memory_limiter first: "
            "a burst of it can take memory from the app.",
            is_error=False,
        )


def _memory_mib(root: Node) -> int | None:
    limits = []
    processors = root.get("processors")
    used = _used(pipelines(root))
    for text, node in processors.items if processors is not None else ():
        name = component_id(text) or ""
        if component_type(name) != "memory_limiter" or name not in used:
            continue
        limit = settings_check.number(node.get("limit_mib"))
        if limit is None or limit < 10:
            return None
        limits.append(int(limit))
    return min(limits) * 4 // 5 if limits else None
