"""The release steps of docs/examples: shown as they are, valid, and run as they are written."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from localazure.az import AZ, Az, Completed
from localazure.client import ROOT
from tests.e2e import images
from tests.e2e.support import EXTENSIONS, SETTING, Cloud, Site
from tests.selection import rest_is_thorough

DOCS = ROOT / "docs"
EXAMPLES = DOCS / "examples"
BOOM = "boom: the database is not there"
SUBJECT = "repo:shop/shop:environment:production"
NAMES = ("release.sh", "github-workflow.yml", "azure-pipelines.yml")


@pytest.fixture(scope="module")
def shared(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The site that the examples name, embedded; `2.0` and `3.0` come up, `crash` doesn't."""
    site = cloud.make_site(group="shop-rg", name="shop", repository="shop", component=False)
    answer = site.deploy("--only-show-errors")
    assert answer.returncode == 0, answer.show()
    site.push("2.0")
    site.push("3.0", source="1.0")
    folder = tmp_path_factory.mktemp("crash")
    site.push("crash", images.shell(folder, f"echo '{BOOM}'; exit 3"))
    return site


def execute(
    az: Az, command: list[str], variables: Mapping[str, str], folder: Path, input_: str = ""
) -> Completed:
    """Runs a step of a pipeline with the double's az in its path."""
    environment = az.environment(variables)
    environment["PATH"] = f"{folder / 'bin'}:{AZ.parent}:{environment['PATH']}"
    done = subprocess.run(
        command,
        env=environment,
        cwd=folder,
        input=input_,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    return Completed(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("name", NAMES)
def test_the_page_shows_the_file_as_it_is(name: str) -> None:
    shown = re.findall(r"^```\w+\n(.*?)^```$", (DOCS / "release-steps.md").read_text(), re.M | re.S)
    assert (EXAMPLES / name).read_text() in shown


@dataclass(frozen=True)
class Script:
    """release.sh, for one site."""

    site: Site
    az: Az
    folder: Path

    def __call__(self, image: str, **variables: str) -> Completed:
        told = {"RESOURCE_GROUP": self.site.group, "APP": self.site.name, "IMAGE": image}
        command = ["sh", str(EXAMPLES / "release.sh")]
        return execute(self.az, command, {**told, **variables}, self.folder)


def test_the_shell_script_releases_and_again_changes_nothing(shared: Site, tmp_path: Path) -> None:
    release = Script(shared, shared.cloud.az, tmp_path)
    done = release(shared.image("2.0"))
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{shared.name} runs {shared.runs}.\n"
    assert shared.runs.startswith(shared.image("2.0-otelembed-"))
    before = shared.cloud.mark()
    again = release(shared.image("2.0"))
    assert (again.returncode, again.stdout) == (0, done.stdout)
    assert not shared.cloud.answer(again, before).writes


@pytest.mark.thorough
def test_the_shell_script_tells_of_a_rollback_by_its_status(shared: Site, tmp_path: Path) -> None:
    before = shared.runs
    done = Script(shared, shared.cloud.az, tmp_path)(shared.image("crash"))
    assert done.returncode == 4, done.stderr
    assert BOOM in done.stderr
    last = done.stderr.splitlines()[-1]
    assert re.fullmatch(r"\S+:crash-otelembed-\S+ failed to start: \S+ was rolled back .*", last)
    assert shared.runs == before


def test_the_shell_script_stops_on_what_is_not_there(shared: Site, tmp_path: Path) -> None:
    release = Script(shared, shared.cloud.az, tmp_path)
    before = shared.runs
    done = release(shared.image("9.9"))
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.endswith("A resource or image was not found: see above.\n")
    assert shared.runs == before
    missing = release("")
    assert missing.returncode != 0
    assert "IMAGE" in missing.stderr


@pytest.mark.thorough
def test_the_shell_script_runs_without_az_login_by_a_caller_with_two_roles(
    cloud: Cloud, make_site: Callable[..., Site], tmp_path: Path
) -> None:
    """The two roles that the page names, and an az that nobody is logged in to."""
    site = make_site()
    group = f"/subscriptions/{cloud.local.subscription}/resourceGroups/{site.group}"
    client = "77777777-0000-4000-8000-000000000001"
    roles = [("Website Contributor", group), ("AcrPush", cloud.registry_id())]
    named = [{"role": role, "scope": scope} for role, scope in roles]
    cloud.local.add_principal(client, "a-secret", named)
    az = Az(cloud.local, tmp_path / "az", EXTENSIONS)
    az.prepare()
    done = Script(site, az, tmp_path)(
        site.image(),
        CREDENTIAL="environment",
        SUBSCRIPTION=cloud.local.subscription,
        AZURE_TENANT_ID=cloud.local.tenant,
        AZURE_CLIENT_ID=client,
        AZURE_CLIENT_SECRET="a-secret",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{site.name} runs {site.runs}.\n"
    assert SETTING in site.settings()


@pytest.mark.parametrize(
    ("name", "schema", "options"),
    [
        ("github-workflow.yml", "vendor.github-workflows", ()),
        (
            "azure-pipelines.yml",
            "vendor.azure-pipelines",
            ("--data-transform", "azure-pipelines"),
        ),
    ],
)
def test_the_pipelines_keep_to_their_public_schemas(
    name: str, schema: str, options: tuple[str, ...]
) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *options]
    done = subprocess.run(
        [*command, str(EXAMPLES / name)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def identity(cloud: Cloud) -> str:
    """The client id of what GitHub's or Azure DevOps' tokens for SUBJECT stand for."""
    client = f"77777777-0000-4000-8000-{cloud.mark():012}"
    roles = [{"role": "Contributor", "scope": f"/subscriptions/{cloud.local.subscription}"}]
    cloud.local.add_principal(client, "", roles, federations=[{"subject": SUBJECT}])
    return client


def log_in(cloud: Cloud, az: Az, client: str, tenant: str, subscription: str) -> None:
    """What azure/login and AzureCLI@2 do: az, logged in with the build service's token.

    Here it is the double's issuer that gives the token, and the double that takes it.
    """
    az.prepare()
    done = az.run(
        *("login", "--service-principal", "--username", client, "--tenant", tenant),
        *("--federated-token", cloud.local.workload_token(SUBJECT), "--output", "none"),
    )
    assert done.returncode == 0, done.stderr
    assert az.run("account", "set", "--subscription", subscription).returncode == 0


def filled(text: Any, values: Mapping[str, str]) -> str:
    """`text` with `${{ name }}` filled in. Raises KeyError for a name that has no value."""
    return re.sub(r"\$\{\{\s*(.+?)\s*\}\}", lambda found: values[found[1]], str(text))


@dataclass(frozen=True)
class Job:
    """What the steps of a job need to know."""

    cloud: Cloud
    az: Az
    folder: Path
    values: Mapping[str, str]

    def github(self) -> list[tuple[str, Completed]]:
        """Runs the workflow's steps as a runner does: `bash -e`, until one fails."""
        workflow = yaml.safe_load((EXAMPLES / "github-workflow.yml").read_text())
        (job,) = workflow["jobs"].values()
        assert workflow["permissions"]["id-token"] == "write"
        assert SUBJECT.endswith(f":environment:{job['environment']}")
        variables = {name: filled(value, self.values) for name, value in job["env"].items()}
        variables["GITHUB_STEP_SUMMARY"] = str(self.folder / "summary.md")
        ended: list[tuple[str, Completed]] = []
        for step in job["steps"]:
            failed = any(done.returncode for _, done in ended)
            if failed and step.get("if") != "always()":
                continue
            if "uses" in step:
                assert step["uses"] == "azure/login@v2"
                given = {name: filled(value, self.values) for name, value in step["with"].items()}
                identity = given["client-id"], given["tenant-id"], given["subscription-id"]
                log_in(self.cloud, self.az, *identity)
                continue
            script = self.folder / "step.sh"
            script.write_text(filled(step["run"], self.values))
            done = execute(self.az, ["bash", "-e", str(script)], variables, self.folder)
            ended.append((step["name"], done))
        return ended

    def azure(self) -> Completed:
        """Runs the pipeline's one task that does something, as AzureCLI@2 does."""
        pipeline = yaml.safe_load((EXAMPLES / "azure-pipelines.yml").read_text())
        (task,) = (step for step in pipeline["steps"] if "task" in step)
        assert task["task"] == "AzureCLI@2"
        assert task["inputs"]["scriptType"] == "bash"
        known = {**self.values, **pipeline["variables"]}

        def expanded(text: str) -> str:
            # A macro whose variable there is none of stays as it is.
            macro = r"\$\(([\w.]+)\)"
            return re.sub(macro, lambda m: known.get(m[1], m[0]), filled(text, known))

        variables = {name: expanded(value) for name, value in task["env"].items()}
        identity = [known[f"vars.AZURE_{name}_ID"] for name in ("CLIENT", "TENANT", "SUBSCRIPTION")]
        log_in(self.cloud, self.az, *identity)
        script = self.folder / "task.sh"
        script.write_text(expanded(task["inputs"]["inlineScript"]))
        return execute(self.az, ["bash", str(script)], variables, self.folder)


@pytest.fixture
def job(shared: Site, identity: str, tmp_path: Path) -> Callable[[str], Job]:
    """A job that releases a tag, with the variables that the examples expect."""
    local = shared.cloud.local

    def make(tag: str) -> Job:
        values = {
            "vars.AZURE_CLIENT_ID": identity,
            "vars.AZURE_TENANT_ID": local.tenant,
            "vars.AZURE_SUBSCRIPTION_ID": local.subscription,
            "vars.REGISTRY": shared.host,
            "vars.OTELEMBED_WHEEL": "(installed already)",
            "inputs.tag": tag,
            "REGISTRY": shared.host,
            "OTELEMBED_WHEEL": "(installed already)",
            "parameters.tag": tag,
        }
        return Job(shared.cloud, Az(local, tmp_path / "az", EXTENSIONS), tmp_path, values)

    return make


def test_the_workflow_releases(shared: Site, job: Callable[[str], Job], tmp_path: Path) -> None:
    ended = job("3.0").github()
    assert [(name, done.returncode, done.stdout) for name, done in ended] == [
        ("Install az otelembed", 0, ""),
        ("Show the plan", 0, ""),
        ("Release, and roll back if the container fails to start", 0, ""),
        ("Check that telemetry arrives", 0, ""),
        ("Add the release history to the summary", 0, ""),
    ], [done.stderr for _, done in ended]
    assert shared.runs.startswith(shared.image("3.0-otelembed-"))
    assert shared.runs in ended[1][1].stderr, "the plan is in the log"
    summary = (tmp_path / "summary.md").read_text()
    assert summary.startswith("```\n")
    (newest,) = [line for line in summary.splitlines() if re.match(r"0 +True ", line)]
    assert "succeeded" in newest
    assert shared.runs in newest


def make_impatient(folder: Path) -> None:
    """Puts an az before the real one whose deploys have a few seconds instead of ten minutes."""
    command = folder / "bin" / "az"
    command.parent.mkdir()
    command.write_text(
        '#!/bin/sh\ncase "$*" in "otelembed deploy "*) set -- "$@" --timeout 12 ;; esac\n'
        f'exec "{AZ}" "$@"\n'
    )
    command.chmod(0o755)


UNPROVEN = {
    "release.sh": " is unproven: see above.",
    "github-workflow.yml": "::error::The release of ",
    "azure-pipelines.yml": "##vso[task.logissue type=error]The release of ",
}


@pytest.mark.parametrize("name", rest_is_thorough(UNPROVEN, lambda name: name == "release.sh"))
def test_the_release_steps_fail_on_an_unproven_release(
    shared: Site, job: Callable[[str], Job], tmp_path: Path, name: str
) -> None:
    tag = f"unproven-{name}"
    shared.push(tag, source="1.0")
    make_impatient(tmp_path)
    unseen = {"service": "arm", "path": f"/sites/{shared.name}/containerlogs", "times": 0}
    with shared.cloud.fault(status=403, **unseen):
        if name == "release.sh":
            done = Script(shared, shared.cloud.az, tmp_path)(shared.image(tag))
        elif name == "azure-pipelines.yml":
            done = job(tag).azure()
        else:
            steps = job(tag).github()
            assert [one.returncode for _, one in steps] == [0, 0, 6, 0], steps
            done = steps[2][1]
    assert done.returncode == 6, done.stderr
    assert UNPROVEN[name] in done.stdout + done.stderr
    assert "The release is unproven and stays in place." in done.stderr
    assert shared.runs.startswith(shared.image(f"{tag}-otelembed-"))


@pytest.mark.thorough
def test_the_azure_pipeline_releases_and_fails_when_it_is_rolled_back(
    shared: Site, job: Callable[[str], Job]
) -> None:
    done = job("2.0").azure()
    assert done.returncode == 0, done.stderr
    assert shared.runs.startswith(shared.image("2.0-otelembed-"))
    assert shared.runs in done.stdout
    before = shared.runs
    failed = job("crash").azure()
    assert failed.returncode == 4, failed.stderr
    issue = f"##vso[task.logissue type=error]{shared.image('crash')} failed to start"
    assert issue in failed.stdout
    assert shared.runs == before
