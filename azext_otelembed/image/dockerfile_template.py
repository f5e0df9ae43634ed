"""The embedding as a Dockerfile, for teams that own theirs; and images that were made by it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image import existing_collector
from azext_otelembed.image import labels as names
from azext_otelembed.image.image_config import ImageConfig
from azext_otelembed.image.launcher import Launcher, unwrap
from azext_otelembed.image.layer import BINARY, CERTIFICATES, CONFIG
from azext_otelembed.image.prepared_collector import CA_BUNDLE
from azext_otelembed.image.recipe import FORMAT
from azext_otelembed.image.reference import Digest, Reference

DOCKERFILE_BINARY = "/usr/bin/otelcol"
DOCKERFILE_CONFIG = "/etc/otel-collector-config.yml"
CONFIG_FILE = "otel-collector-config.yml"
"""The configuration's name in the build context."""


@dataclass(frozen=True, slots=True)
class App:
    """The app image to build on: its name (None: a build argument) and how it is started.

    `stop_signal` is its STOPSIGNAL; empty where it has none, or none is known.
    """

    name: str | None
    entrypoint: Sequence[str]
    cmd: Sequence[str]
    stop_signal: str = ""


@dataclass(frozen=True, slots=True)
class OwnDockerfile:
    """What an image says of the collector that its own Dockerfile put in.

    `collector` is the collector image as the Dockerfile names it, `config` the digest of the
    configuration as it was when the Dockerfile was printed.
    """

    collector: str
    config: str
    launcher: str


def by_dockerfile(config: ImageConfig) -> OwnDockerfile | None:
    """Recognise an image whose own Dockerfile starts a collector; None for all others.

    Its labels lack the recipe, which no Dockerfile can know. An image built FROM such a one
    inherits the labels; where it has another ENTRYPOINT the collector isn't started any more.
    """
    labels = config.labels
    if names.VERSION not in labels or names.RECIPE in labels or names.UNDO in labels:
        return None
    if unwrap(config.entrypoint) is None:
        return None
    return OwnDockerfile(
        labels.get(names.COLLECTOR, ""),
        labels.get(names.CONFIG, ""),
        labels.get(names.LAUNCHER, ""),
    )


def make_dockerfile(collector: Reference, config: bytes, launcher: Launcher, app: App) -> str:
    """A Dockerfile that adds the collector to an app image.

    It needs no BuildKit. ENTRYPOINT and CMD of the app image are repeated: a Dockerfile can't refer
    to them, and setting ENTRYPOINT forgets the CMD of the image below (Dockerfile reference,
    "Understand how CMD and ENTRYPOINT interact"). The configuration comes from the build context,
    as `otel-collector-config.yml`. Raises InvalidImage where there is nothing to start, and where
    the app image's own command starts a collector.
    """
    if not app.entrypoint and not app.cmd:
        raise InvalidImage(
            "What the app image starts isn't told, and ENTRYPOINT and CMD have to be repeated.",
            "Name the image with --image to have them read from it, or give --image-entrypoint "
            "and --image-cmd as its Dockerfile has them.",
        )
    _check_alone(app)
    labels = {
        names.VERSION: FORMAT,
        names.COLLECTOR: str(collector),
        names.CONFIG: str(Digest.of(config)),
        names.LAUNCHER: launcher.identity,
    }
    lines = [
        *([] if app.name else ["# The app image: `--build-arg APP_IMAGE=…`.", "ARG APP_IMAGE", ""]),
        "# The collector, out of its official image.",
        f"FROM {collector} AS otelcol",
        "",
        "# The app. In a Dockerfile of your own, the lines below go at the end of its last stage.",
        f"FROM {app.name or '${APP_IMAGE}'}",
        "",
        f"COPY --from=otelcol {binary_in(collector)} {DOCKERFILE_BINARY}",
        f"COPY --from=otelcol /{CA_BUNDLE} {CERTIFICATES}/ca-certificates.crt",
        "# `az otelembed dockerfile --output-dir .` writes this file.",
        f"COPY {CONFIG_FILE} {DOCKERFILE_CONFIG}",
        "",
        '# Starts the collector in the background; what follows after "otelembed" is the app.',
        f"ENTRYPOINT {_exec_form(_wrapped(launcher, app))}",
        *([f"CMD {_exec_form(app.cmd)}"] if app.cmd else []),
        "",
        "# By these, az otelembed knows that this image has a collector already.",
        "LABEL " + " \\\n      ".join(f'{name}="{value}"' for name, value in labels.items()),
    ]
    return "\n".join(lines) + "\n"


def words_of(instruction: str) -> list[str]:
    """The words that ENTRYPOINT or CMD stand for: a JSON list, or a command for the shell.

    Raises InvalidImage for a list of something else than text.
    """
    text = instruction.strip()
    if not text.startswith("["):
        return ["/bin/sh", "-c", text] if text else []
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, list) or not all(isinstance(word, str) for word in found):
        raise InvalidImage(
            f"{instruction} is not a JSON list of words.",
            """Write it as in a Dockerfile: '["node", "server.js"]', or 'node server.js'.""",
        )
    return found


def binary_in(collector: Reference) -> str:
    """Where upstream's images have their binary: `/otelcol` and what the name adds to it.

    `…/opentelemetry-collector-contrib` has `/otelcol-contrib` (open-telemetry/
    opentelemetry-collector-releases, distributions/*/Dockerfile).
    """
    name = collector.repository.rpartition("/")[2]
    _, ours, added = name.partition("opentelemetry-collector")
    return f"/otelcol{added}" if ours else "/otelcol-contrib"


def _check_alone(app: App) -> None:
    """Raise InvalidImage where a second collector would fight the app image's own for its ports."""
    found = existing_collector.find(existing_collector.Start(tuple(app.entrypoint), tuple(app.cmd)))
    if found is None:
        return
    advice = "Build on an image that starts the app alone."
    if found.app is not None:
        entrypoint, cmd = _exec_form(found.app.entrypoint), _exec_form(found.app.cmd)
        told = [f"--image-entrypoint {shlex.quote(entrypoint)}"] if found.app.entrypoint else []
        told += [f"--image-cmd {shlex.quote(cmd)}"] if found.app.cmd else []
        advice = f"Build on an image that starts the app alone, or tell how: {' '.join(told)}."
    raise InvalidImage(
        f"{app.name or 'The app image'} starts a collector already, by its own command: "
        f"`{found.collector}`.",
        advice,
    )


def _wrapped(launcher: Launcher, app: App) -> list[str]:
    """The launcher's entrypoint, with the paths that a Dockerfile uses."""
    shell, option, script, *rest = launcher.wrap(app.entrypoint, stop_signal=app.stop_signal)
    ours = script.replace(BINARY, DOCKERFILE_BINARY).replace(CONFIG, DOCKERFILE_CONFIG)
    return [shell, option, ours, *rest]


def _exec_form(words: Iterable[str]) -> str:
    """As JSON, which Dockerfiles take as it is.

    No variable is substituted in ENTRYPOINT and CMD (Dockerfile reference, "Environment
    replacement"), but a backslash at a line's end would join lines: there is none in JSON.
    """
    return json.dumps(list(words), ensure_ascii=False)
