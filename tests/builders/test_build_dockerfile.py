"""`az otelembed dockerfile`: what it prints, built by a real engine, does what the embed does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from azext_otelembed.image.reference import Digest
from localazure.images.assemble import Entry, Image, layer, write_layout
from tests import needs
from tests.builders.support import Builds
from tests.e2e import images
from tests.e2e.support import IMAGES, SETTING, eventually
from tests.localazure import runtime_support as machine
from tests.selection import rest_is_thorough

ARGUMENTS = ["--greeting", 'it\'s "two words" $HOME']
CONNECTION = {
    SETTING: "InstrumentationKey=00000000-0000-0000-0000-000000000000;"
    "IngestionEndpoint=https://localhost:1/"
}
SHELLS = ("dash", "bash", "busybox")


def on_shell(folder: Path, shell: str) -> Path:
    """The sample app on a base whose /bin/sh is `shell`, with /usr/bin and /etc of its own."""
    program = Path(needs.program(shell)).resolve()
    root = layer(
        [
            *(Entry(path, kind="dir") for path in ("bin", "etc", "usr", "usr/bin", "app")),
            Entry("tmp", kind="dir", mode=0o1777),
            Entry("bin/sh", program.read_bytes(), 0o755),
            *machine.entries(*machine.libraries(program)),
        ],
        level=1,
    )
    layers, settings = images.read(IMAGES / "app")
    cmd = [*settings["Cmd"], *ARGUMENTS]
    write_layout(folder, Image([root, *layers[1:]], {**settings, "Cmd": cmd}), "1.0")
    return folder


def dockerfile_collector(builds: Builds, base: str) -> str:
    """The image that the engine makes of the Dockerfile for `base`."""
    folder = str(builds.folder / "form")
    printed = builds.otelembed(
        *("dockerfile", "--image", base, "--output-dir", folder),
        *("--collector-image", builds.collector),
    )
    assert printed.returncode == 0, printed.show()
    builds.log_in()
    name = f"local/{base.partition('/')[2]}"
    builds.engine.run("build", "--tag", name, "--file", printed.json["dockerfile"], folder)
    return name


def by_registry(builds: Builds, base: str) -> str:
    """The image that the embed in the registry makes of `base`."""
    answer = builds.otelembed("build", "--image", base)
    assert answer.returncode == 0, answer.show()
    builds.log_in()
    return str(answer.json["image"]["name"])


WAYS = {"dockerfile": dockerfile_collector, "registry": by_registry}


@contextmanager
def running(builds: Builds, image: str, *options: str) -> Iterator[str]:
    """A container of the sample app that answers; its id."""
    with builds.engine.container(
        image, options=options, SAMPLE_DIAGNOSTICS="1", **CONNECTION
    ) as container:
        eventually(lambda: serves(builds, container), within=30)
        yield container


def serves(builds: Builds, container: str) -> bool:
    """Whether the app answers."""
    try:
        return "the shop" in builds.engine.get(container)
    except OSError:
        return False


def delivers(builds: Builds, container: str) -> bool:
    """Whether the collector takes a span of the app's."""
    try:
        return bool(json.loads(builds.engine.get(container, "/spans?n=1")) == {"spans": 1})
    except OSError:
        return False


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shell", rest_is_thorough(SHELLS, lambda shell: shell == "dash"))
def test_the_app_is_pid_1_with_its_own_arguments_and_its_telemetry_is_taken(
    builds: Builds, shell: str, way: str
) -> None:
    base = builds.base(on_shell(builds.folder / "layout", shell))
    image = WAYS[way](builds, base)
    with running(builds, image) as container:
        who = json.loads(builds.engine.get(container, "/pid"))
        assert (who["pid"], who["uid"], who["cwd"]) == (1, 1000, "/app")
        given = json.loads(builds.engine.get(container, "/args"))
        assert given == ["/usr/local/bin/shop", *ARGUMENTS]
        eventually(lambda: delivers(builds, container), within=30)

        assert builds.engine.end(container, "otelcol") > 0
        eventually(lambda: not delivers(builds, container), within=10)
        assert serves(builds, container)
        stopped = builds.engine.stop(container)
        assert stopped.exit_status == 0
        assert stopped.seconds < 8


@pytest.mark.parametrize(
    ("what", "path"),
    [
        ("binary", "/usr/bin/otelcol"),
        pytest.param("configuration", "/etc/otel-collector-config.yml", marks=pytest.mark.thorough),
    ],
)
def test_the_app_serves_where_the_collector_cannot_start(
    builds: Builds, what: str, path: str
) -> None:
    image = dockerfile_collector(builds, builds.base())
    with running(builds, image, "--volume", f"/dev/null:{path}:ro") as container:
        assert not delivers(builds, container), what
        assert serves(builds, container)


def test_the_printed_file_takes_the_app_image_as_a_build_argument(builds: Builds) -> None:
    printed = builds.otelembed(
        *("dockerfile", "--collector-image", builds.collector),
        *("--image-entrypoint", '["/usr/local/bin/docker-entrypoint.sh"]'),
        *("--image-cmd", '["/usr/local/bin/shop", "--greeting", "Moin"]'),
    )
    assert printed.returncode == 0, printed.show()
    assert printed.requests == []
    config = builds.otelembed("dockerfile", "--image-cmd", "x", "-o", "json").json["config"]
    builds.write(printed.stdout, **{"otel-collector-config.yml": config})
    builds.log_in()
    argument = f"APP_IMAGE={builds.base()}"
    builds.engine.run("build", "-t", "local/moin", "--build-arg", argument, str(builds.source))
    with running(builds, "local/moin") as container:
        assert builds.engine.get(container).startswith("Moin from the shop")
        eventually(lambda: delivers(builds, container), within=30)


@pytest.mark.thorough
def test_deploy_and_status_recognise_such_an_image_and_never_wrap_it(builds: Builds) -> None:
    site = builds.cloud.make_site()
    folder = builds.folder / "form"
    builds.otelembed(
        *("dockerfile", "--image", site.image(), "--output-dir", str(folder)),
        *("--collector-image", builds.collector),
    )
    answer = builds.deploy(
        site, "--source", str(folder), "--file", "Dockerfile.otelembed", "--tag", "own"
    )
    assert answer.returncode == 0, answer.show()
    result = answer.json
    assert result["image"]["name"] == result["base"]["name"] == site.image("own")
    assert result["collector"]["version"] == "0.150.0"
    assert [change["what"] for change in result["changes"]] == [f"app setting {SETTING}", "image"]
    assert site.runs == site.image("own")
    assert sorted(builds.tags(site.repository)) == ["1.0", "own"]
    assert site.get("/spans?n=3").json() == {"spans": 3}
    telemetry = builds.cloud.local.telemetry
    eventually(lambda: any("diagnostic 3" in json.dumps(each) for each in telemetry()))

    for again in (builds.deploy(site), builds.deploy(site, "--image", site.image("own"))):
        assert again.returncode == 0, again.show()
        assert again.json["changed"] is False
        assert again.writes == []
    status = builds.otelembed("status", *site.arguments, "--check", "--wait", "60").json
    assert (status["embedded"], status["embeddedBy"]) == (True, "dockerfile")
    assert status["collector"]["name"] == builds.collector
    assert status["healthy"] is True
    assert status["updates"] == []

    tagged = builds.deploy(site, "--tag", "mine")
    assert tagged.returncode == 1
    assert "its own Dockerfile put in" in tagged.stderr
    removed = builds.otelembed("remove", *site.arguments, "--yes")
    assert removed.returncode == 1
    assert "got its collector from its own Dockerfile" in removed.stderr


def test_a_configuration_that_was_edited_is_kept_and_its_digest_is_the_labels(
    builds: Builds,
) -> None:
    folder = builds.folder / "form"
    command = ("dockerfile", "--image-cmd", "node server.js", "--output-dir", str(folder))
    first = builds.otelembed(*command).json
    config = Path(first["config"])
    assert config.stat().st_mode & 0o777 == 0o644
    edited = config.read_text() + "# ours\n"
    config.write_text(edited)
    again = builds.otelembed(*command)
    assert again.returncode == 0, again.show()
    assert config.read_text() == edited
    assert str(Digest.of(edited.encode())) in Path(first["dockerfile"]).read_text()

    other = builds.folder / "other.yml"
    other.write_text(edited.replace("# ours", "# theirs"))
    refused = builds.otelembed(*command, "--collector-config", str(other))
    assert refused.returncode == 1
    assert "exists already and differs" in refused.stderr
    config.write_text("receivers: [")
    broken = builds.otelembed(*command)
    assert broken.returncode == 1
    assert "Traceback" not in broken.stderr


def test_the_form_for_an_embedded_image_is_that_for_its_base(builds: Builds) -> None:
    base = builds.base()
    embedded = builds.otelembed("build", "--image", base).json["image"]["name"]
    forms = [builds.otelembed("dockerfile", "--image", image) for image in (base, embedded)]
    assert forms[0].stdout == forms[1].stdout
    assert f"\nFROM {base}\n" in forms[0].stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "aren't known"),
        (["--image-cmd", "[node]"], "not a JSON list of words"),
        (["--image", "shop:1.0"], "doesn't name a registry"),
        (["--image-cmd", "x", "--collector-image", "Not An Image"], "--collector-image"),
        (["--image-cmd", "x", "--output-dir", "/dev/null/x"], "can't be written to"),
    ],
)
def test_what_cannot_be_printed_is_told(builds: Builds, arguments: list[Any], said: str) -> None:
    answer = builds.otelembed("dockerfile", *arguments)
    assert answer.returncode == 1
    assert said in answer.stderr, answer.show()
