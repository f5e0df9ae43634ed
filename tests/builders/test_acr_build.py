"""`--builder acr`: ACR Tasks builds, here the double's with a real engine behind it."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from azext_otelembed.deadline import Deadline
from azext_otelembed.errors import DeadlineExceeded
from tests.builders.acr import Attempt, attempt
from tests.builders.support import Builds
from tests.e2e.support import REGISTRY, Answer, eventually
from tests.selection import rest_is_thorough

NOWHERE = {"DOCKER_HOST": "unix:///nowhere"}
SIGNATURE = re.compile(r"[?&]sig=(?!\*)|sp=cw|rawtext\.log\?")
ABAC = "AbacRepositoryPermissions"


@pytest.fixture
def tasks(builds: Builds) -> Iterator[Builds]:
    """The double's ACR Tasks may use the engine; nobody else is told where it is."""
    builds.cloud.local.engine(Path(builds.engine.host.removeprefix("unix://")))
    yield builds
    builds.cloud.local.clear_faults()


def build(tasks: Builds, *arguments: str, repository: str = "", **options: Any) -> Answer:
    """`az otelembed build --builder acr` of the source folder."""
    image = f"{tasks.host}/{repository or tasks.repository()}:1"
    return tasks.build("--builder", "acr", *arguments, image=image, **{"env": NOWHERE, **options})


def test_a_source_is_built_in_the_registry_and_embedded_and_no_signature_shows(
    tasks: Builds,
) -> None:
    repository = tasks.repository()
    tasks.write(
        f"FROM {tasks.base()} AS first",
        "ARG GREETING=nothing",
        "ARG WHO=nobody",
        'LABEL greeting="$GREETING $WHO"',
        "COPY . /app/",
        "FROM first AS last",
        "LABEL stage=last",
        name="app.Dockerfile",
        note="from the source folder",
        **{"left.out": "", ".dockerignore": "left.*\n"},
    )
    answer = build(
        tasks,
        *("--file", "app.Dockerfile", "--target", "first"),
        *("--build-arg", "GREETING=two words", "WHO", "NOT_SET", "--debug"),
        repository=repository,
        env={**NOWHERE, "WHO": "for you"},
    )
    assert answer.returncode == 0, answer.show()
    built = answer.json["build"]
    assert built["builder"] == "acr"
    assert built["engine"] == "ACR Tasks"
    assert re.fullmatch(r"ca\d+", built["run"])
    assert built["image"] == answer.json["base"]["name"] == f"{tasks.host}/{repository}:1"
    assert built["digest"] == answer.json["base"]["digest"]
    assert f"Run ID: {built['run']} was successful" in answer.stderr
    assert "COPY . /app/" in answer.stderr
    assert not SIGNATURE.search(answer.stdout + answer.stderr)

    tasks.log_in()
    found = tasks.engine.pull(answer.json["image"]["name"])
    assert found["Config"]["Labels"]["greeting"] == "two words for you"
    assert "stage" not in found["Config"]["Labels"]
    with tasks.engine.container(answer.json["image"]["name"]) as container:
        assert tasks.engine.exec(container, "cat", "/app/note") == "from the source folder"
        tasks.engine.exec(container, "cat", "/app/app.Dockerfile")
        assert tasks.engine.run("exec", container, "cat", "/app/left.out", check=False).returncode


def test_a_site_is_deployed_from_source(tasks: Builds) -> None:
    site = tasks.cloud.make_site()
    tasks.write(f"FROM {site.image()}", "LABEL deployed=yes")
    answer = tasks.deploy(site, "--source", str(tasks.source), "--builder", "acr", "--tag", "2.0")
    assert answer.returncode == 0, answer.show()
    assert answer.json["build"]["run"].startswith("ca")
    assert f"{site.repository}:2.0-otelembed-" in site.runs


def test_the_log_arrives_while_the_run_goes_on(tasks: Builds) -> None:
    tasks.write(f"FROM {tasks.base()}", "RUN echo first-part; sleep 5; echo second-part")
    times: dict[str, float] = {}

    class Said(list[str]):
        def append(self, line: str) -> None:
            times[line] = time.monotonic()
            super().append(line)

    done = attempt(tasks, made=Attempt(tasks.repository(), Said()))
    assert done.error is None, done.log
    assert times["second-part"] - times["first-part"] > 2


def test_a_build_that_fails_shows_its_last_lines_and_pushes_nothing(tasks: Builds) -> None:
    repository = tasks.repository()
    tasks.write(
        f"FROM {tasks.base()}",
        "ARG NPM_TOKEN",
        "RUN echo 401 with $NPM_TOKEN; echo compiling the shop && exit 7",
    )
    token = ("--build-arg", "NPM_TOKEN=npm-5f1e8b7c")
    answer = build(tasks, "--only-show-errors", *token, repository=repository)
    assert answer.returncode == 1
    assert answer.stdout == ""
    assert re.match(rf"ERROR: Run ca\d+ of registry '{REGISTRY}' failed", answer.stderr)
    assert "\n  | 401 with ***\n  | compiling the shop\n" in answer.stderr
    assert "npm-5f1e8b7c" not in answer.stderr
    assert "returned a non-zero code: 7" in answer.stderr
    assert f"az acr task logs -r {REGISTRY} --run-id ca" in answer.stderr
    assert "State:" not in answer.stderr
    assert tasks.tags(repository) == []


def test_a_dockerfile_that_needs_buildkit_is_explained(tasks: Builds) -> None:
    tasks.write("FROM scratch", "COPY --chmod=755 Dockerfile /x")
    assert "ACR Tasks builds without BuildKit" in str(attempt(tasks).failed().recommendation)


def test_a_double_without_an_engine_says_so_in_the_runs_log(tasks: Builds) -> None:
    tasks.cloud.local.engine(None)
    tasks.write("FROM scratch")
    assert "This double has no container engine" in attempt(tasks).failed().message


def test_a_cut_upload_goes_on_with_the_block_that_was_cut(tasks: Builds) -> None:
    tasks.write("FROM scratch", "COPY blob /blob")
    (tasks.source / "blob").write_bytes(os.urandom(9 << 20))
    local = tasks.cloud.local
    faults: list[dict[str, Any]] = [{"reset": True}, {"reset_after": True}, {"status": 503}]
    for nth, fault in enumerate(faults, 2):
        local.fault(service="blob", method="PUT", path="/source/", nth=nth, **fault)
    local.fault(service="blob", method="GET", path="/logs/", truncate=10)
    done = attempt(tasks)
    assert done.error is None
    puts = [r for r in done.requests if r["service"] == "blob" and r["method"] == "PUT"]
    assert [r["status"] for r in puts] == [201, None, None, 503, 201, 201, 201]
    assert "Step 2/2 : COPY blob /blob" in done.said


def test_an_upload_that_stays_cut_is_an_error_without_the_address(
    tasks: Builds, caplog: pytest.LogCaptureFixture
) -> None:
    tasks.write("FROM scratch")
    caplog.set_level("DEBUG")
    with tasks.cloud.fault(service="blob", method="PUT", path="/source/", reset=True, times=0):
        done = attempt(tasks)
    failed = done.failed()
    assert failed.message.startswith("The upload of the source: no answer from Azure's blob")
    assert "blob.core.windows.net" in str(failed.recommendation)
    assert not SIGNATURE.search(f"{failed.message}{failed.recommendation}{caplog.text}")
    assert failed.__context__ is None
    assert done.asked("/scheduleRun") == 0


def test_a_run_is_scheduled_once_even_if_its_answer_is_lost(tasks: Builds) -> None:
    tasks.write("FROM scratch", "COPY Dockerfile /")
    with tasks.cloud.fault(service="arm", path="/scheduleRun", reset_after=True):
        done = attempt(tasks)
    assert "no answer" in done.failed().message
    assert done.asked("/scheduleRun") == 1
    assert f"may have been started (`az acr task list-runs -r {REGISTRY}" in done.standing[-1]


def test_an_address_of_the_log_that_has_expired_is_asked_for_again(tasks: Builds) -> None:
    tasks.write("FROM scratch", "COPY Dockerfile /")
    with tasks.cloud.fault(service="blob", path="/logs/", nth=2, status=403):
        done = attempt(tasks)
    assert done.error is None
    assert any("was successful" in line for line in done.said)
    assert done.asked("/listLogSasUrl") == 2


def test_a_log_that_cannot_be_read_here_does_not_fail_the_build(tasks: Builds) -> None:
    tasks.write("FROM scratch", "COPY Dockerfile /")
    with tasks.cloud.fault(service="blob", path="/logs/", status=403, times=0):
        done = attempt(tasks)
    assert done.error is None
    assert "its log can't be read" in done.log
    assert done.result["digest"].startswith("sha256:")


def test_a_run_that_cannot_be_followed_is_cancelled(tasks: Builds) -> None:
    tasks.write(f"FROM {tasks.base()}", "RUN echo under-way; sleep 60")
    with tasks.cloud.fault(service="arm", path="/listLogSasUrl", status=403, times=0):
        tasks.cloud.local.fault(service="arm", path=r"/runs/ca\d+$", status=403, times=0)
        done = attempt(tasks)
    assert "Container Registry Tasks Contributor" in str(done.failed().recommendation)
    assert done.standing[-1] == f"run {done.run} was cancelled; nothing else was changed"


@pytest.mark.parametrize(
    "path",
    rest_is_thorough(
        [r"/runs/ca\d+$", "/listLogSasUrl", r"rawtext\.log$"], lambda path: "rawtext" in path
    ),
)
def test_a_run_ends_with_the_command(tasks: Builds, path: str) -> None:
    tasks.write(f"FROM {tasks.base()}", "RUN echo under-way; sleep 60")
    began = time.monotonic()
    with tasks.cloud.fault(path=path, drip=0.5, times=0):
        done = attempt(tasks, deadline=Deadline(15 if path.startswith("/runs") else 4))
    assert isinstance(done.failed(), DeadlineExceeded)
    assert time.monotonic() - began < 30
    assert done.standing[-1] == f"run {done.run} was cancelled; nothing else was changed"


def test_a_run_that_somebody_else_cancels_is_told(tasks: Builds) -> None:
    tasks.write(f"FROM {tasks.base()}", "RUN echo under-way; sleep 60")
    made = Attempt(tasks.repository())
    thread = threading.Thread(target=attempt, args=(tasks,), kwargs={"made": made})
    thread.start()
    eventually(lambda: "under-way" in made.said, 20)
    tasks.cloud.arm("POST", f"{tasks.cloud.registry_id()}/runs/{made.run}/cancel")
    thread.join(20)
    assert f"Run {made.run} of registry '{REGISTRY}' was cancelled" in made.failed().message
    assert tasks.tags(made.repository) == []


def test_a_caller_without_the_right_to_runs_learns_which_role_it_takes(tasks: Builds) -> None:
    tasks.write("FROM scratch")
    scope = tasks.cloud.registry_id()
    done = attempt(tasks, token=_principal(tasks, scope, "AcrPush", "Reader"))
    assert "listBuildSourceUploadUrl/action" in done.failed().message
    assert "Container Registry Tasks Contributor" in str(done.failed().recommendation)
    assert "--builder docker" in str(done.failed().recommendation)


def test_where_rights_are_by_repository_the_run_acts_as_its_caller(tasks: Builds) -> None:
    name = tasks.cloud.add_registry()
    tasks.cloud.local.change_registry(name, role_assignment_mode=ABAC)
    roles = ("Container Registry Repository Writer", "Container Registry Tasks Contributor")
    token = _principal(tasks, tasks.cloud.registry_id(name), *roles)
    tasks.write("FROM scratch", "COPY Dockerfile /")
    done = attempt(tasks, token=token, registry=name)
    assert done.error is None, done.log
    assert done.result["run"] == "ca1"


def _principal(tasks: Builds, scope: str, *roles: str) -> str:
    """A token of a new service principal with these roles."""
    client_id = str(uuid.uuid4())
    held = [{"role": role, "scope": scope} for role in roles]
    tasks.cloud.local.add_principal(client_id, "not-a-secret", held)
    return tasks.cloud.local.token(client_id=client_id, secret="not-a-secret")


def test_an_interrupt_cancels_the_run_and_says_so(tasks: Builds) -> None:
    number = signal.SIGINT
    repository = tasks.repository()
    tasks.write(f"FROM {tasks.base()}", "RUN echo under-way; sleep 60")
    process, output = tasks.start_build(f"{tasks.host}/{repository}:1", "--builder", "acr")
    next(line for line in output if line.strip() == "under-way")
    process.send_signal(number)
    said = output.read()
    assert process.wait() == 128 + number
    found = re.search(rf"{number.name} received: run (ca\d+) was cancelled; nothing else", said)
    assert found, said
    path = f"{tasks.cloud.registry_id()}/runs/{found[1]}"
    eventually(lambda: tasks.cloud.arm("GET", path)["properties"]["status"] == "Canceled", 10)
    assert tasks.tags(repository) == []


@pytest.mark.thorough
def test_az_acr_build_works_against_the_double_too(tasks: Builds) -> None:
    repository = tasks.repository()
    tasks.write(f"FROM {tasks.base()}", "LABEL a=az", "COPY note /note", note="hi")
    az = ("acr", "build", "-r", REGISTRY, "-t", f"{repository}:1", str(tasks.source))
    answer = tasks.cloud.run(*az, env=NOWHERE)
    assert answer.returncode == 0, answer.show()
    assert "Step 3/3 : COPY note /note" in answer.stdout
    assert "was successful" in answer.stdout
    assert tasks.tags(repository) == ["1"]
    runs = tasks.cloud.arm("GET", f"{tasks.cloud.registry_id()}/runs")["value"]
    assert runs[0]["properties"]["outputImages"][0]["repository"] == repository
