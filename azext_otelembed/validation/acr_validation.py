"""Runs `otelcol validate` in a quick run of ACR Tasks: a build that is not pushed.

The Dockerfile starts the collector in the collector image itself; the context has nothing but that
and the configuration. Variables of the site are placeholders.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from azext_otelembed.azure.registries import Registry
from azext_otelembed.azure.session import Session
from azext_otelembed.builders.acr_tasks import EndedRun, run_build
from azext_otelembed.builders.build_context import read_context
from azext_otelembed.builders.source import OnLine, Source
from azext_otelembed.collector.config import Config
from azext_otelembed.collector.problem import Problem
from azext_otelembed.embedding.base_images import load_base
from azext_otelembed.embedding.prepared_store import UNREACHABLE, UPSTREAM_REPOSITORY
from azext_otelembed.errors import NotFound
from azext_otelembed.image.dockerfile_template import upstream_binary_path
from azext_otelembed.image.prepared_collector import binary_path, prepared_tag
from azext_otelembed.image.reference import Reference
from azext_otelembed.registry.auth import Basic
from azext_otelembed.registry.client import RegistryClient
from azext_otelembed.validation.otelcol_output import problems_of
from azext_otelembed.validation.placeholders import placeholders
from azext_otelembed.validation.verdict import ACR, Verdict

_FILE = "config.yml"
_STARTED = re.compile(r"^Step \d+/\d+ : RUN ")
_REFUSED = re.compile(r"returned a non-zero code: 1\b")


def validate_in_acr(
    session: Session,
    registry: Registry,
    client: RegistryClient,
    collector: Reference,
    config: Config,
    login: Basic | None,
    report_state: Callable[[str], None],
    on_line: OnLine,
) -> Verdict:
    """Validate with the collector image that `registry` has imported, else with the image itself.

    Raises `BuildFailed` where the run doesn't come to the collector, and as `run_build` does.
    """
    image, binary = _image(session, client, collector, login)
    with tempfile.TemporaryDirectory(prefix="otelembed-") as name:
        folder = Path(name)
        (folder / _FILE).write_bytes(config.data)
        (folder / _FILE).chmod(0o644)  # COPY keeps the mode, and the image's user has to read it
        dockerfile = folder / "Dockerfile"
        dockerfile.write_text(_dockerfile(image, binary, placeholders(config.root)))
        context = read_context(Source(folder, dockerfile))
        ended = run_build(session, registry, context, report_state, on_line)
    problems = () if ended.run.status == "Succeeded" else _problems(ended, config)
    return Verdict(ACR, str(collector), problems, run=ended.run.id)


def _image(
    session: Session, client: RegistryClient, collector: Reference, login: Basic | None
) -> tuple[Reference, str]:
    """The image to run, and the path of the collector in it."""
    imported = Reference(client.host, UPSTREAM_REPOSITORY, prepared_tag(collector))
    try:
        return imported, binary_path(load_base(client, imported).config)
    except NotFound:
        pass
    try:
        with session.open_registry(collector.registry, login) as source:
            return collector, binary_path(load_base(source, collector).config)
    except UNREACHABLE:  # ACR Tasks may reach it
        return collector, upstream_binary_path(collector)


def _dockerfile(image: Reference, binary: str, environment: dict[str, str]) -> str:
    """The exec form of RUN needs no shell, which the image doesn't have."""
    lines = [
        f"FROM {image}",
        f"COPY {_FILE} /otelembed/{_FILE}",
        *(f'ENV {name}="{value}"' for name, value in environment.items()),
        f"RUN {json.dumps([binary, 'validate', f'--config=/otelembed/{_FILE}'])}",
    ]
    return "\n".join(lines) + "\n"


def _problems(ended: EndedRun, config: Config) -> tuple[Problem, ...]:
    """What the collector says. Raises `BuildFailed` if it was not the collector that failed."""
    lines = list(ended.lines)
    starts = [number for number, line in enumerate(lines) if _STARTED.match(line)]
    said = lines[starts[-1] + 1 :] if starts else []
    problems = problems_of(said, config) if any(map(_REFUSED.search, said)) else []
    if not problems:
        raise ended.error()
    return tuple(problems)
