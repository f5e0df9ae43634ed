"""`az otelembed dockerfile`: the embedding for teams that own their Dockerfile."""

from __future__ import annotations

from collections.abc import Callable
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
from azext_otelembed.target.embed_target import EmbedOptions, by_tag

DOCKERFILE = "Dockerfile.otelembed"


def dockerfile(
    session: Callable[[], Session],
    options: EmbedOptions,
    image: str | None,
    registry: str | None,
    entrypoint: str | None,
    cmd: str | None,
    console: Console,
) -> str:
    """The Dockerfile for an app image.

    `entrypoint` and `cmd` are the app image's, as in a Dockerfile; without both they are read from
    the image (its base, if it is embedded), and only then `session` is opened. Raises the errors of
    `errors.py`; InvalidImage where neither the caller nor an image names a command.
    """
    for warning in options.warnings:
        console.note(f"--collector-config: {warning}")
    if image is not None and entrypoint is None and cmd is None:
        opened = session()
        reference = image_in_registry(opened, image, registry).or_latest()
        with console.step("read") as step:
            step.say(f"reading {reference}")
            base = original(load_base(AppRegistry(opened).open(reference), reference))
            step.say(f"{base.reference}")
        app = app_of(base)
    else:
        if image is not None:
            parse_reference(image, "--image")
        app = App(image, instruction_words(entrypoint or ""), instruction_words(cmd or ""))
    return make_dockerfile(options.collector, options.config, options.launcher, app)


def write(text: str, data: bytes, directory: str, *, own_config: bool) -> dict[str, Any]:
    """Writes a Dockerfile and the configuration that it copies; returns the result object.

    The Dockerfile is written each time. A configuration in `directory` is never overwritten: with
    `own_config` (one was given) other content is an error. Raises `InvalidInput`.
    """
    try:
        folder = Path(directory).expanduser()
        config, file = folder / CONFIG_FILE, folder / DOCKERFILE
        folder.mkdir(parents=True, exist_ok=True)
        if not config.exists():
            config.write_bytes(data)
            config.chmod(0o644)  # COPY keeps the mode, and the app's user has to read it
        elif own_config and config.read_bytes() != data:
            raise InvalidInput(
                f"'{config}' exists already and differs from --collector-config.",
                "Remove or rename one of the two files.",
            )
        file.write_text(text, encoding="utf-8")
    except (OSError, RuntimeError, ValueError) as error:  # `~name` of an unknown user; a NUL
        reason = str(getattr(error, "strerror", None) or error).rstrip(".")
        raise InvalidInput(f"--output-dir '{directory}' can't be written to: {reason}.") from None
    return {"dockerfile": str(file), "config": str(config)}


def config_in(directory: str) -> str | None:
    """The path of the configuration that an earlier run wrote to `directory`; None without one."""
    try:
        path = Path(directory).expanduser() / CONFIG_FILE
        return str(path) if path.is_file() else None
    except (OSError, RuntimeError, ValueError):  # `write` reports a directory that can't be used
        return None


def app_of(base: Base) -> App:
    """The parts of the app image that the Dockerfile repeats."""
    config = base.config
    # By its tag, so that the next build takes the next app image.
    name = by_tag(base.reference)
    stop_signal = str(config.settings.get("StopSignal") or "")
    return App(str(name), config.entrypoint, config.cmd, stop_signal, config)
