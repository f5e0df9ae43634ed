"""`az otelembed build`, with images of the registry and with a real engine."""

from __future__ import annotations

import json
import re
import signal
import time
from itertools import takewhile
from pathlib import Path

import pytest

from tests.builders.support import Builds
from tests.e2e import images
from tests.e2e.support import REGISTRY, eventually

JWT = re.compile(r"eyJ[A-Za-z0-9_-]{8,}\.")


def test_an_image_of_the_registry_is_embedded_without_a_site_or_an_engine(builds: Builds) -> None:
    base = builds.base()
    answer = builds.otelembed("build", "--image", base, env={"DOCKER_HOST": "unix:///nowhere"})
    assert answer.returncode == 0, answer.show()
    result = answer.json
    assert result["built"] is True
    assert result["base"]["name"] == base
    assert result["image"]["name"].startswith(f"{base}-otelembed-")
    assert result["collector"]["version"] == "0.150.0"
    assert result["build"] is None
    assert result["seconds"]["embed"] > 0
    assert not [r for r in answer.requests if "/sites" in r["path"].lower()], answer.show()

    again = builds.otelembed("build", "--image", base)
    assert again.json["built"] is False
    assert again.json["image"] == result["image"]
    assert again.writes == []
    assert not [r for r in again.requests if r["service"] == "arm"], again.show()


def test_a_registry_is_named_beside_the_image_and_the_tag_is_the_callers(builds: Builds) -> None:
    name = builds.base().partition("/")[2]
    answer = builds.otelembed("build", "--registry", REGISTRY, "--image", name, "--tag", "mine")
    assert answer.json["image"]["name"] == f"{builds.host}/{name.partition(':')[0]}:mine"


def test_a_source_is_built_pushed_and_embedded_and_the_engine_runs_what_comes_out(
    builds: Builds,
) -> None:
    base, repository = builds.base(), builds.repository()
    builds.write(
        f"FROM {base} AS first",
        "ARG GREETING=nothing",
        'LABEL greeting="$GREETING"',
        "COPY note /app/note",
        "FROM first AS last",
        "LABEL stage=last",
        name="app.Dockerfile",
        note="from the source folder",
    )
    answer = builds.build(
        *("--registry", REGISTRY, "--tag", "2.0", "--file", "app.Dockerfile", "--target", "first"),
        *("--build-arg", "GREETING=two words", "OTHER=1"),
        image=repository,
    )
    assert answer.returncode == 0, answer.show()
    result = answer.json
    assert result["base"]["name"] == f"{builds.host}/{repository}:2.0"
    assert result["build"]["builder"] == "docker"
    assert result["build"]["image"] == result["base"]["name"]
    assert set(result["seconds"]) == {"build", "embed"}
    assert "COPY note /app/note" in answer.stderr
    assert f"building {builds.host}/{repository}:2.0 with docker" in answer.stderr

    builds.log_in()
    found = builds.engine.pull(result["image"]["name"])
    assert found["Config"]["Labels"]["greeting"] == "two words"
    assert "stage" not in found["Config"]["Labels"]
    with builds.engine.container(result["image"]["name"], SAMPLE_DIAGNOSTICS="1") as container:
        assert builds.engine.exec(container, "cat", "/app/note") == "from the source folder"
        assert builds.engine.exec(container, "cat", "/proc/1/comm").strip() == "shop"


def test_the_tag_is_the_time_where_the_source_is_no_checkout(builds: Builds) -> None:
    builds.write(f"FROM {builds.base()}", "LABEL a=b")
    repository = builds.repository()
    answer = builds.build(image=f"{builds.host}/{repository}")
    assert re.fullmatch(r".*:20\d{6}-\d{6}", answer.json["base"]["name"]), answer.show()


def test_no_token_reaches_a_file_an_argument_or_the_environment(builds: Builds) -> None:
    builds.write(f"FROM {builds.base()}", "LABEL a=secretive")
    notes, path = builds.spy()
    secrets = {"AZURE_CLIENT_SECRET": "sesame-1", "SYSTEM_ACCESSTOKEN": "sesame-2"}
    named = {"BUILD_NUMBER": "20261126.1"}
    environment = builds.environment(PATH=path, **secrets, **named)
    answer = builds.build("--build-arg", "BUILD_NUMBER", env=environment)
    assert answer.returncode == 0, answer.show()
    seen = notes.read_text()
    assert "sesame" not in seen
    assert "BUILD_NUMBER=20261126.1" in seen
    assert "ARGUMENTS push" in seen
    assert '"credHelpers": {"' + builds.host in seen
    assert not JWT.search(seen)
    assert not JWT.search(answer.stdout + answer.stderr)
    assert not (builds.folder / "home" / ".docker").exists()
    (folder,) = set(re.findall(r"^DOCKER_CONFIG=(.*)$", seen, re.MULTILINE))
    assert not Path(folder).parent.exists()


def test_the_callers_own_docker_configuration_goes_on_to_count(builds: Builds) -> None:
    builds.write(f"FROM {builds.base()}", "LABEL a=own")
    config = builds.folder / "home" / ".docker" / "config.json"
    environment = builds.environment()
    config.parent.mkdir()
    # A login to this registry that is good for nothing: ours has to win, and it has to stay.
    text = json.dumps({"auths": {builds.host: {"auth": "YTpi"}}, "detachKeys": "ctrl-x"})
    config.write_text(text)
    answer = builds.build(env=environment)
    assert answer.returncode == 0, answer.show()
    assert config.read_text() == text


def test_a_build_that_fails_shows_its_last_lines_and_pushes_nothing(builds: Builds) -> None:
    repository = builds.repository()
    builds.write(
        f"FROM {builds.base()}",
        "ARG NPM_TOKEN",
        "RUN echo 401 with $NPM_TOKEN; echo compiling the shop && exit 7",
    )
    token = ("--build-arg", "NPM_TOKEN=npm-5f1e8b7c")
    image = f"{builds.host}/{repository}:1"
    answer = builds.build("--only-show-errors", *token, image=image)
    assert answer.returncode == 1
    assert answer.stdout == ""
    assert "could not build" in answer.stderr
    assert "\n  | 401 with ***\n  | compiling the shop\n" in answer.stderr
    assert "npm-5f1e8b7c" not in answer.stderr
    assert f"\nState: {builds.host}/{repository}:1 may have been pushed" in answer.stderr
    assert "returned a non-zero code: 7" in answer.stderr
    assert "docker build -f" in answer.stderr
    assert builds.tags(repository) == []


def test_a_caller_who_may_not_push_learns_so_before_anything_is_built(builds: Builds) -> None:
    builds.write(f"FROM {builds.base()}", "RUN echo nothing of this runs")
    puller = builds.cloud.caller(("AcrPull", builds.cloud.registry_id()))
    answer = builds.build(az=puller)
    assert answer.returncode == 1
    assert "push to 'built/app-" in answer.stderr, answer.show()
    assert "AcrPush" in answer.stderr
    assert "Step 1" not in answer.stderr


def test_a_push_that_is_denied_names_the_registry_and_the_remedy(builds: Builds) -> None:
    repository = builds.repository()
    builds.write(f"FROM {builds.base()}", "LABEL a=denied")
    with builds.cloud.fault(
        service="acr", method="PUT", path=f"/v2/{repository}/manifests/.*", status=403, times=0
    ):
        answer = builds.build(image=f"{builds.host}/{repository}:1")
    assert answer.returncode == 1
    assert f"Registry '{builds.host}' doesn't let docker" in answer.stderr, answer.show()
    assert "AcrPush" in answer.stderr


@pytest.mark.parametrize(
    ("case", "said", "remedy"),
    [
        ("no engine", "neither docker nor podman is on PATH", "Install Docker"),
        ("no daemon", "The Docker daemon doesn't answer", "systemctl start docker"),
        ("no Dockerfile", "holds no Dockerfile", "--file"),
        ("no folder", "doesn't exist", "--source ."),
        ("no registry", "doesn't name a registry", "--registry"),
    ],
)
def test_what_is_missing_is_told_with_its_remedy(
    builds: Builds, case: str, said: str, remedy: str
) -> None:
    environment = builds.environment()
    image = builds.new_image()
    builds.write("FROM scratch", name="Dockerfile" if case != "no Dockerfile" else "other")
    if case == "no engine":
        environment["PATH"] = builds.path_without("docker", "podman")
    if case == "no daemon":
        environment["PATH"] = builds.path_without("podman")
        environment["DOCKER_HOST"] = "unix:///nowhere/docker.sock"
    if case == "no folder":
        builds.source.rename(builds.folder / "elsewhere")
    if case == "no registry":
        image = "shop:1"
    answer = builds.build(image=image, env=environment)
    assert answer.returncode == 1
    assert said in answer.stderr, answer.show()
    assert remedy in answer.stderr
    assert answer.writes == []


def test_the_engines_output_arrives_while_it_builds(builds: Builds) -> None:
    # The sleep is the image's own; the line before it has to arrive before it ends.
    builds.write(f"FROM {builds.base()}", "RUN echo first-part; sleep 4; echo second-part")
    process, output = builds.start_build(builds.new_image())
    times = {}
    for line in output:
        for part in ("first-part", "second-part"):
            if line.strip() == part:
                times[part] = time.monotonic()
    assert process.wait() == 0
    assert times["second-part"] - times["first-part"] > 2


def test_on_a_terminal_the_output_stands_above_the_steps_line(builds: Builds) -> None:
    builds.write(f"FROM {builds.base()}", "RUN echo built on a terminal")
    image = builds.new_image()
    screen = builds.on_terminal("build", "--image", image, "--source", str(builds.source))
    assert screen.returncode == 0, screen.text
    lines = [line for line in screen.lines if line.strip()]
    assert "built on a terminal" in lines
    (step,) = (line for line in lines if line.startswith("✓ build"))
    assert lines.index("built on a terminal") < lines.index(step)
    assert "and pushed" in step


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_build_ends_the_engine_and_says_what_state_things_are_in(
    builds: Builds, number: signal.Signals
) -> None:
    repository = builds.repository()
    builds.write(f"FROM {builds.base()}", "RUN echo waiting; sleep 600")
    image = f"{builds.host}/{repository}:1"
    process, output = builds.start_build(image)
    said = "".join(takewhile(lambda line: line.strip() != "waiting", output))
    began = time.monotonic()
    process.send_signal(number)
    said += output.read()
    assert process.wait() == 128 + number
    assert time.monotonic() - began < 15
    assert f"{number.name} received: {image} may have been pushed" in said
    assert "Traceback" not in said
    assert builds.tags(repository) == []
    eventually(lambda: "sleep 600" not in builds.engine.run("ps", "--no-trunc").stdout)


def test_a_base_that_cannot_be_embedded_in_is_refused_after_it_was_pushed(
    builds: Builds, tmp_path: Path
) -> None:
    builds.write("FROM scratch", "COPY Dockerfile /Dockerfile", 'CMD ["/nothing"]')
    answer = builds.build()
    assert answer.returncode == 1
    assert "has no /bin/sh" in answer.stderr, answer.show()


def test_an_image_embedded_already_is_built_from_its_base(builds: Builds, tmp_path: Path) -> None:
    base = builds.base(images.variant(tmp_path / "layout", Cmd=["/usr/local/bin/shop"]))
    first = builds.otelembed("build", "--image", base).json
    again = builds.otelembed("build", "--image", first["image"]["name"]).json
    assert again["built"] is False
    assert again["image"] == first["image"]
    assert again["base"] == first["base"]
