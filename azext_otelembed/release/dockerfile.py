"""`az otelembed dockerfile`: the embedding for teams that own their Dockerfile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azext_otelembed.azure.session import Session
from azext_otelembed.console import Console
from azext_otelembed.embedding.base_images import load_base
from azext_otelembed.errors import InvalidInput
from azext_otelembed.image.dockerfile_template import (
    CONFIG_FILE,
    App,
    instruction_words,
    make_dockerfile,
)
from azext_otelembed.image.embed import Base, original
from azext_otelembed.target.app_image import image_in_registry, parse_reference
from azext_otelembed.target.app_registry import AppRegistry
from azext_otelembed.target.embed_options import EmbedOptions
from azext_otelembed.target.embed_target import by_tag

DOCKERFILE = "Dockerfile.otelembed"


@dataclass(frozen=True, slots=True)
class DockerfileRequest:
    """A Dockerfile as the caller asks for it.

    `entrypoint` and `cmd` are the app image's, as in a Dockerfile; without both they are read from
    the image.
    """

    embed: EmbedOptions
    image: str | None = None
    registry: str | None = None
    entrypoint: str | None = None
    cmd: str | None = None


@dataclass(frozen=True, slots=True)
class Files:
    """The Dockerfile, and the collector configuration that it copies."""

    dockerfile: str
    config: bytes


def dockerfile(
    session: Callable[[], Session], request: DockerfileRequest, console: Console
) -> Files:
    """The Dockerfile for an app image.

    `session` is opened only where the image's entrypoint has to be read from its registry. Raises
    the errors of `errors.py`; InvalidImage where neither the caller nor an image names a command.
    """
    options = request.embed
    for warning in options.warnings:
        console.note(f"--collector-config: {warning}")
    if request.image is not None and request.entrypoint is None and request.cmd is None:
        app = _read(session(), request.image, request.registry, console)
    else:
        if request.image is not None:
            parse_reference(request.image, "--image")
        entrypoint, cmd = (
            instruction_words(request.entrypoint or ""),
            instruction_words(request.cmd or ""),
        )
        app = App(request.image, entrypoint, cmd)
    text = make_dockerfile(options.collector, options.config, options.launcher, app)
    return Files(text, options.config)


def write(files: Files, directory: str, *, own_config: bool) -> dict[str, Any]:
    """Writes both files into `directory`; returns the result object.

    The Dockerfile is written each time. A configuration in `directory` is never overwritten: with
    `own_config` (one was given) other content is an error. Raises `InvalidInput`.
    """
    folder = Path(directory).expanduser()
    config, file = folder / CONFIG_FILE, folder / DOCKERFILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not config.exists():
            config.write_bytes(files.config)
            config.chmod(0o644)  # COPY keeps the mode, and the app's user has to read it
        elif own_config and config.read_bytes() != files.config:
            raise InvalidInput(
                f"'{config}' exists already and differs from --collector-config.",
                "Remove or rename one of the two files.",
            )
        file.write_text(files.dockerfile, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(
            f"--output-dir '{directory}' can't be written to: {error.strerror or error}."
        ) from None
    return {"dockerfile": str(file), "config": str(config)}


def config_in(directory: str) -> str | None:
    """The path of the configuration that an earlier run wrote to `directory`; None without one."""
    path = Path(directory).expanduser() / CONFIG_FILE
    return str(path) if path.is_file() else None


def _read(session: Session, image: str, registry: str | None, console: Console) -> App:
    """The app image and its command; of an embedded image those of its base."""
    reference = image_in_registry(session, image, registry).or_latest()
    with console.step("read") as step:
        step.say(f"reading {reference}")
        base = original(load_base(AppRegistry(session).open(reference), reference))
        step.say(f"{base.reference}")
    return app_of(base)


def app_of(base: Base) -> App:
    """The parts of the app image that the Dockerfile repeats."""
    config = base.config
    # By its tag, so that the next build takes the next app image.
    name = by_tag(base.reference)
    stop_signal = str(config.settings.get("StopSignal") or "")
    return App(str(name), config.entrypoint, config.cmd, stop_signal)
