"""`az otelembed dockerfile`: the embedding for teams that own their Dockerfile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azext_otelembed.collector import config as collector_config
from azext_otelembed.embedding.base_images import load_base
from azext_otelembed.errors import InvalidInput
from azext_otelembed.image.dockerfile_template import (
    CONFIG_FILE,
    App,
    instruction_words,
    make_dockerfile,
)
from azext_otelembed.image.embed import Base, original
from azext_otelembed.image.launcher import Launcher
from azext_otelembed.target.app_image import image_in_registry, parsed
from azext_otelembed.target.finder import TargetFinder

if TYPE_CHECKING:
    from azext_otelembed.azure.session import Session
    from azext_otelembed.console import Console

DOCKERFILE = "Dockerfile.otelembed"
_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the caller asks for. `entrypoint` and `cmd` are as in a Dockerfile; None: not told."""

    image: str | None
    registry: str | None
    entrypoint: str | None
    cmd: str | None
    collector_image: str
    collector_config: bytes | None
    launcher: Launcher = field(default_factory=Launcher)


@dataclass(frozen=True, slots=True)
class Written:
    """The two files: the Dockerfile and the collector's configuration that it copies."""

    dockerfile: str
    config: bytes


def dockerfile(session: Callable[[], Session], wanted: Wanted, console: Console) -> Written:
    """The Dockerfile for an app image.

    What the image starts is read from its registry unless it is told; only then is there a
    `session`. Raises the errors of `errors.py`, and InvalidImage where nothing says what to start.
    """
    launcher = wanted.launcher
    config = wanted.collector_config
    if config is None:
        config = collector_config.default()
    else:
        checked = collector_config.inspect(config)
        launcher = replace(launcher, memory_mib=checked.memory_mib)
        for warning in checked.warnings:
            console.note(f"--collector-config: {warning}")
    told = wanted.entrypoint is not None or wanted.cmd is not None
    if wanted.image is not None and not told:
        app = _read(session(), wanted.image, wanted, console)
    else:
        if wanted.image is not None:
            parsed(wanted.image, "--image")
        app = App(
            wanted.image,
            instruction_words(wanted.entrypoint or ""),
            instruction_words(wanted.cmd or ""),
        )
    collector = parsed(wanted.collector_image, "--collector-image").or_latest()
    return Written(make_dockerfile(collector, config, launcher, app), config)


def write(written: Written, directory: str, *, own_config: bool) -> dict[str, Any]:
    """Write both files into `directory`; what the result object says.

    The Dockerfile is written anew each time. A configuration that is there with other content is
    never overwritten: with `own_config` (one was given) that is an error. Raises `InvalidInput`.
    """
    folder = Path(directory).expanduser()
    config, file = folder / CONFIG_FILE, folder / DOCKERFILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not config.exists():
            config.write_bytes(written.config)
            config.chmod(0o644)  # COPY keeps the mode, and the app's user has to read it
        elif own_config and config.read_bytes() != written.config:
            raise InvalidInput(
                f"'{config}' is there already, and differs from --collector-config.",
                "Move one of the two away.",
            )
        file.write_text(written.dockerfile, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(
            f"--output-dir '{directory}' can't be written to: {error.strerror or error}."
        ) from None
    return {"dockerfile": str(file), "config": str(config)}


def config_in(directory: str | None) -> bytes | None:
    """The configuration that an earlier run wrote to `directory`, and that was edited since."""
    if directory is None:
        return None
    try:
        with (Path(directory).expanduser() / CONFIG_FILE).open("rb") as file:
            return file.read(_LARGEST)
    except OSError:
        return None


def _read(session: Session, image: str, wanted: Wanted, console: Console) -> App:
    """The app image, or what an embedded one was made from, and what it starts."""
    reference = image_in_registry(session, image, wanted.registry)
    finder = TargetFinder(session, wanted.collector_image, None, None)
    with console.step("read") as step:
        step.say(f"reading {reference}")
        base = original(load_base(finder.open(reference), reference))
        step.say(f"{base.reference}")
    return app_of(base)


def app_of(base: Base) -> App:
    """What a Dockerfile has to repeat of the image that it builds on."""
    config, name = base.config, base.reference
    # By its tag, so that the next build takes the next app image.
    name = replace(name, digest=None) if name.tag else name
    stop_signal = str(config.settings.get("StopSignal") or "")
    return App(str(name), config.entrypoint, config.cmd, stop_signal)
