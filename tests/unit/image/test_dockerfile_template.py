"""The embedding as a Dockerfile, and the images that it makes recognised again."""

from __future__ import annotations

import json
import re
import shlex

import pytest

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image import labels as names
from azext_otelembed.image.dockerfile_template import (
    App,
    DockerfileCollector,
    dockerfile_collector,
    instruction_words,
    make_dockerfile,
)
from azext_otelembed.image.image_config import ImageConfig
from azext_otelembed.image.launcher import Launcher, unwrap_entrypoint
from azext_otelembed.image.provenance import read_provenance
from azext_otelembed.image.reference import Digest, Reference
from azext_otelembed.printable import UNPRINTABLE
from tests.ci_commands import HOSTILE, executed

COLLECTOR = Reference.parse("otel/opentelemetry-collector-contrib:0.150.0")
CONFIG = b"receivers: {}\n"


def made(
    entrypoint: str = '["/entry.sh"]', cmd: str = '["serve", "a b"]', base: str | None = None
) -> str:
    app = App(base, instruction_words(entrypoint), instruction_words(cmd))
    return make_dockerfile(COLLECTOR, CONFIG, Launcher(), app)


def instruction(text: str, name: str) -> str:
    """What stands after an instruction that is there once, continued lines joined."""
    joined = text.replace("\\\n", " ")
    (found,) = re.findall(rf"^{name} (.*)$", joined, re.MULTILINE)
    return str(found)


def built(text: str, **more: object) -> ImageConfig:
    """The configuration that an engine makes of the Dockerfile's last stage."""
    labels = dict(re.findall(r'(\S+)="([^"]*)"', instruction(text, "LABEL")))
    settings = {"Labels": labels, "Entrypoint": json.loads(instruction(text, "ENTRYPOINT")), **more}
    return ImageConfig.of({"config": settings, "rootfs": {"diff_ids": []}})


def test_it_has_a_stage_for_the_collector_and_copies_binary_certificates_and_configuration() -> (
    None
):
    text = made(base="r.azurecr.io/shop:1.0")
    stages = re.findall(r"^FROM (.*)$", text, re.MULTILINE)
    assert stages == [f"{COLLECTOR} AS otelcol", "r.azurecr.io/shop:1.0"]
    assert re.findall(r"^COPY (.*)$", text, re.MULTILINE) == [
        "--from=otelcol /otelcol-contrib /usr/bin/otelcol",
        "--from=otelcol /etc/ssl/certs/ca-certificates.crt /otelembed/certs/ca-certificates.crt",
        "otel-collector-config.yml /etc/otel-collector-config.yml",
    ]


def test_entrypoint_is_wrapped_and_cmd_repeated() -> None:
    text = made()
    entrypoint = json.loads(instruction(text, "ENTRYPOINT"))
    assert unwrap_entrypoint(entrypoint) == ["/entry.sh"]
    assert "/usr/bin/otelcol --config=/etc/otel-collector-config.yml" in entrypoint[2]
    assert "/otelembed/otelcol" not in text
    assert "/otelembed/config.yml" not in text
    assert json.loads(instruction(text, "CMD")) == ["serve", "a b"]


def test_the_launcher_is_the_callers_and_is_told_the_stop_signal() -> None:
    app = App(None, ["/entry.sh"], [], "SIGUSR2")
    launcher = Launcher("drain")
    text = make_dockerfile(COLLECTOR, CONFIG, launcher, app)
    entrypoint = json.loads(instruction(text, "ENTRYPOINT"))
    ours = launcher.wrap(["/entry.sh"], recipe=None, stop_signal="SIGUSR2")[2]
    assert entrypoint[2] == ours.replace("/otelembed/otelcol", "/usr/bin/otelcol").replace(
        "/otelembed/config.yml", "/etc/otel-collector-config.yml"
    )
    assert built(text).labels[names.LAUNCHER] == "drain/3"


def test_without_an_image_it_is_a_build_argument_declared_before_the_first_stage() -> None:
    text = made()
    assert text.index("ARG APP_IMAGE") < text.index("FROM")
    assert "FROM ${APP_IMAGE}" in text


def test_an_entrypoint_alone_leaves_no_cmd_and_a_cmd_alone_an_empty_entrypoint() -> None:
    assert "CMD" not in made(cmd="").replace("CMD have", "")
    assert unwrap_entrypoint(json.loads(instruction(made(entrypoint=""), "ENTRYPOINT"))) == []


def test_nothing_to_start_is_refused_with_what_to_give() -> None:
    with pytest.raises(InvalidImage, match="aren't known") as caught:
        made(entrypoint="", cmd=" ")
    assert "--image-entrypoint" in str(caught.value.recommendation)


@pytest.mark.parametrize(
    ("entrypoint", "cmd", "alone"),
    [
        ("", "otelcol --config=/x & exec /shop 'a b'", ([], ["/shop", "a b"])),
        ('["sh","-c","otelcol & exec \\"$@\\"","--","/shop"]', "", (["/shop"], [])),
    ],
)
def test_a_collector_that_the_app_image_starts_itself_is_refused_with_what_starts_the_app_alone(
    entrypoint: str, cmd: str, alone: tuple[list[str], list[str]]
) -> None:
    with pytest.raises(
        InvalidImage, match=r"shop:1 already starts a collector.*`otelcol"
    ) as caught:
        made(entrypoint, cmd, base="r.io/shop:1")
    advised = shlex.split(str(caught.value.recommendation).rstrip("."))
    told = {name: next(iter(advised[advised.index(name) + 1 :]), "") for name in advised}
    words = [instruction_words(told.get(f"--image-{name}", "")) for name in ("entrypoint", "cmd")]
    assert words == list(alone)
    made(json.dumps(words[0]), json.dumps(words[1]), base="r.io/shop:1")


@pytest.mark.parametrize(
    ("instruction", "words"),
    [
        ('["node", "server.js"]', ["node", "server.js"]),
        ("node server.js --name 'a b'", ["/bin/sh", "-c", "node server.js --name 'a b'"]),
        ("[]", []),
        ("", []),
    ],
)
def test_words_are_read_as_a_dockerfile_has_them(instruction: str, words: list[str]) -> None:
    assert instruction_words(instruction) == words


@pytest.mark.parametrize("text", ["[node, server.js]", '["a", 1]', '["a"'])
def test_a_broken_list_is_refused(text: str) -> None:
    with pytest.raises(InvalidImage, match="not a JSON list of words"):
        instruction_words(text)


@pytest.mark.parametrize(
    ("image", "path"),
    [
        ("otel/opentelemetry-collector-contrib:1", "/otelcol-contrib"),
        ("ghcr.io/open-telemetry/opentelemetry-collector:1", "/otelcol"),
        ("r.io/otel/opentelemetry-collector-k8s:1", "/otelcol-k8s"),
        ("r.io/ours/collector:1", "/otelcol-contrib"),
    ],
)
def test_the_binary_is_where_upstream_has_it(image: str, path: str) -> None:
    text = make_dockerfile(Reference.parse(image), CONFIG, Launcher(), App("app", ["/app"], []))
    assert f"COPY --from=otelcol {path} /usr/bin/otelcol\n" in text


@pytest.mark.parametrize("word", HOSTILE)
def test_words_keep_their_values_and_nothing_executes_them(word: str) -> None:
    text = make_dockerfile(COLLECTOR, CONFIG, Launcher(), App("app", [word], ["größe", word]))
    assert json.loads(instruction(text, "ENTRYPOINT"))[-1] == word
    assert json.loads(instruction(text, "CMD")) == ["größe", word]
    assert "größe" in text
    assert executed(text) == []
    assert UNPRINTABLE.search(text) is None


def test_an_image_built_by_it_is_recognised_and_is_not_an_embedded_one() -> None:
    found = DockerfileCollector(str(COLLECTOR), str(Digest.of(CONFIG)), "exec/3")
    config, other = built(made()), built(made(), Entrypoint=["/other"])
    assert (dockerfile_collector(config), read_provenance(config)) == (found, None)
    assert (dockerfile_collector(other), read_provenance(other)) == (None, None)


def test_an_embedded_image_is_not_taken_for_one() -> None:
    embedded = {names.RECIPE: str(Digest.of(b"")), names.RESTORE: "{}"}
    for labels in ({**built(made()).labels, **embedded}, {}):
        assert dockerfile_collector(built(made(), Labels=labels)) is None
