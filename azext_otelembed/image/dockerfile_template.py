"""A Dockerfile that adds the collector to an app image; and images that were built from one."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from azext_otelembed import strict_json
from azext_otelembed.errors import InvalidImage
from azext_otelembed.image import labels as names
from azext_otelembed.image.existing_collector import StartCommand, find_collector
from azext_otelembed.image.image_config import ImageConfig
from azext_otelembed.image.init_program import check_init
from azext_otelembed.image.launcher import Launcher, unwrap_entrypoint
from azext_otelembed.image.layer import BINARY, CERTIFICATES, CONFIG
from azext_otelembed.image.prepared_collector import CA_BUNDLE
from azext_otelembed.image.recipe import FORMAT
from azext_otelembed.image.reference import Digest, Reference
from azext_otelembed.printable import AGENT_COMMAND, UNPRINTABLE

DOCKERFILE_BINARY = "/usr/bin/otelcol"
DOCKERFILE_CONFIG = "/etc/otel-collector-config.yml"
CONFIG_FILE = "otel-collector-config.yml"
"""The configuration's name in the build context."""


@dataclass(frozen=True, slots=True)
class App:
    """The app image to build on: its name (None: a build argument) and its start command.

    `stop_signal` is its STOPSIGNAL; empty if it has none, or it isn't known. `config` is its
    configuration where that has been read.
    """

    name: str | None
    entrypoint: Sequence[str]
    cmd: Sequence[str]
    stop_signal: str = ""
    config: ImageConfig | None = None


@dataclass(frozen=True, slots=True)
class DockerfileCollector:
    """The collector that an image's own Dockerfile adds, by the image's labels.

    `collector` is the collector image's name in the Dockerfile, `config` the digest of the
    configuration at the time when the Dockerfile was generated.
    """

    collector: str
    config: str
    launcher: str


def dockerfile_collector(config: ImageConfig) -> DockerfileCollector | None:
    """The collector that the image's own Dockerfile adds; None for all other images.

    Such an image has no recipe label. An image built FROM it inherits the labels; if that has
    another ENTRYPOINT, it starts no collector.
    """
    labels = config.labels
    if names.VERSION not in labels or names.RECIPE in labels or names.RESTORE in labels:
        return None
    if unwrap_entrypoint(config.entrypoint) is None:
        return None
    shown = (names.COLLECTOR, names.CONFIG, names.LAUNCHER)
    return DockerfileCollector(*(labels.get(name, "") for name in shown))


def make_dockerfile(collector: Reference, config: bytes, launcher: Launcher, app: App) -> str:
    """A Dockerfile that adds the collector to an app image.

    It needs no BuildKit. ENTRYPOINT and CMD of the app image are repeated: a Dockerfile can't refer
    to them, and a new ENTRYPOINT resets the CMD of the app image (Dockerfile reference,
    "Understand how CMD and ENTRYPOINT interact"). The configuration comes from the build context,
    as `otel-collector-config.yml`. Raises InvalidImage if the app image has no start command, or
    one that starts a collector or doesn't work with the launcher.
    """
    if not app.entrypoint and not app.cmd:
        raise InvalidImage(
            "The app image's ENTRYPOINT and CMD aren't known, and the Dockerfile must repeat them.",
            "Name the image with --image to read them from its registry, or give "
            "--image-entrypoint and --image-cmd with the values in its Dockerfile.",
        )
    _check_no_collector(app)
    start = StartCommand(tuple(app.entrypoint), tuple(app.cmd))
    check_init(app.name or "The app image", start, launcher, app.config)
    # The recipe includes the base's digest, which only the build knows.
    entrypoint = launcher.wrap(app.entrypoint, recipe=None, stop_signal=app.stop_signal)
    script = entrypoint[2].replace(BINARY, DOCKERFILE_BINARY).replace(CONFIG, DOCKERFILE_CONFIG)
    entrypoint[2] = script
    labels = {
        names.VERSION: FORMAT,
        names.COLLECTOR: str(collector),
        names.CONFIG: str(Digest.of(config)),
        names.LAUNCHER: launcher.identity,
    }
    lines = [
        *([] if app.name else ["# The app image: `--build-arg APP_IMAGE=…`.", "ARG APP_IMAGE", ""]),
        "# The collector, from its official image.",
        f"FROM {collector} AS otelcol",
        "",
        "# The app. In your own Dockerfile, add the lines below at the end of its last stage.",
        f"FROM {app.name or '${APP_IMAGE}'}",
        "",
        f"COPY --from=otelcol {_binary_path(collector)} {DOCKERFILE_BINARY}",
        f"COPY --from=otelcol /{CA_BUNDLE} {CERTIFICATES}/ca-certificates.crt",
        "# `az otelembed dockerfile --output-dir .` writes this file.",
        f"COPY {CONFIG_FILE} {DOCKERFILE_CONFIG}",
        "",
        '# Starts the collector in the background; the words after "otelembed" start the app.',
        f"ENTRYPOINT {_exec_form(entrypoint)}",
        *([f"CMD {_exec_form(app.cmd)}"] if app.cmd else []),
        "",
        "# With these labels, az otelembed detects that this image already has a collector.",
        "LABEL " + " \\\n      ".join(f'{name}="{value}"' for name, value in labels.items()),
    ]
    return "\n".join(lines) + "\n"


def instruction_words(instruction: str) -> list[str]:
    """The words of ENTRYPOINT or CMD in exec form (a JSON list) or shell form (a command).

    Raises InvalidImage for a list with other values than text.
    """
    text = instruction.strip()
    if not text.startswith("["):
        return ["/bin/sh", "-c", text] if text else []
    try:
        found = strict_json.parse(text)
    except ValueError:
        found = None
    if not isinstance(found, list) or not all(isinstance(word, str) for word in found):
        raise InvalidImage(
            f"{text if len(text) <= 100 else text[:100] + '…'} is not a JSON list of words.",
            """Write it as in a Dockerfile: '["node", "server.js"]', or 'node server.js'.""",
        )
    return found


def _binary_path(collector: Reference) -> str:
    """The binary's path in upstream's images: `/otelcol` and the suffix of the image's name.

    `…/opentelemetry-collector-contrib` has `/otelcol-contrib` (open-telemetry/
    opentelemetry-collector-releases, distributions/*/Dockerfile).
    """
    name = collector.repository.rpartition("/")[2]
    _, upstream, suffix = name.partition("opentelemetry-collector")
    return f"/otelcol{suffix}" if upstream else "/otelcol-contrib"


def _check_no_collector(app: App) -> None:
    """Raise InvalidImage if the app image starts a collector: both would use the same ports."""
    found = find_collector(StartCommand(tuple(app.entrypoint), tuple(app.cmd)))
    if found is None:
        return
    advice = "Build on an image that starts only the app."
    if found.app is not None:
        entrypoint, cmd = _exec_form(found.app.entrypoint), _exec_form(found.app.cmd)
        options = [f"--image-entrypoint {shlex.quote(entrypoint)}"] if found.app.entrypoint else []
        options += [f"--image-cmd {shlex.quote(cmd)}"] if found.app.cmd else []
        advice = f"Build on an image that starts only the app, or add {' '.join(options)}."
    raise InvalidImage(
        f"{app.name or 'The app image'} already starts a collector in its command: "
        f"`{found.collector}`.",
        advice,
    )


def _exec_form(words: Iterable[str]) -> str:
    """The exec form: JSON, on one line.

    No variable is substituted in ENTRYPOINT and CMD (Dockerfile reference, "Environment
    replacement"). JSON has no backslash at the end of a line, which would continue the line.
    The Dockerfile may be printed: what isn't printable is escaped, and keeps its value.
    """
    text = json.dumps(list(words), ensure_ascii=False)
    visible = UNPRINTABLE.sub(lambda found: json.dumps(found[0])[1:-1], text)
    return AGENT_COMMAND.sub(r"\\u0023", visible)
