"""`az otelembed status`: what it tells, and when `--check` fails a release step."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e import images
from tests.e2e.support import COLLECTOR, SETTING, Answer, Cloud, Site, eventually

INSTANCES = (("a", "UNKNOWN"), ("b", "STOPPED"))
FOREIGN = "InstrumentationKey=7d7e6f5a-1b2c-4d3e-8f90-a1b2c3d4e5f6"


@pytest.fixture(scope="module")
def shared(cloud: Cloud) -> Site:
    """A site that runs embedded, and well; each test leaves it that way."""
    site = cloud.make_site()
    # Its verification is another file's subject.
    answer = site.deploy("--only-show-errors", "--no-wait")
    assert answer.returncode == 0, answer.show()
    eventually(lambda: site.get("/spans?n=1").status_code == 200)
    return site


def refused(answer: Answer) -> list[str]:
    """The problems of a `--check` that failed, which stderr names too."""
    assert answer.returncode == 5, answer.show()
    result = answer.json
    assert result["healthy"] is False
    for problem in result["problems"]:
        assert problem in answer.stderr
    return list(result["problems"])


def test_a_check_that_sees_no_telemetry_yet_proves_nothing(shared: Site) -> None:
    with shared.cloud.local.ingestion(latency=3600):
        answer = shared.status("--check")
    assert answer.returncode == 6, answer.show()
    assert (answer.json["healthy"], answer.json["problems"]) == (None, [])
    assert (
        "otelembed: not proven healthy: no telemetry of this release has arrived" in answer.stderr
    )


def test_telemetry_is_not_asked_for_without_an_option(shared: Site) -> None:
    answer = shared.status()
    assert (answer.json["telemetry"]["summary"], answer.json["healthy"]) == ("not checked", True)
    assert not [one for one in answer.requests if one["service"] == "insights"]


def test_a_site_that_runs_embedded_is_told_in_full(shared: Site) -> None:
    answer = shared.status("--check", "--wait", "60")
    assert answer.returncode == 0, answer.show()
    result = answer.json
    assert result["site"] == shared.name
    assert result["resourceGroup"] == shared.group
    assert result["state"] == "Running"
    assert result["host"] == shared.url.removeprefix("https://")
    assert result["image"]["name"] == shared.runs
    assert result["image"]["digest"].startswith("sha256:")
    assert result["embedded"] is True
    assert result["base"]["name"] == shared.image("1.0")
    assert result["collector"]["name"] == COLLECTOR
    assert result["collector"]["version"] == "0.150.0"
    assert result["config"].startswith("sha256:")
    assert result["launcher"] == "exec/3"
    assert result["recipe"].startswith("sha256:" + shared.runs.rpartition("-")[2])
    assert result["setting"]["name"] == SETTING
    assert result["setting"]["present"] is True
    assert result["setting"]["component"] == shared.component
    assert result["setting"]["matches"] is True
    assert result["telemetry"]["seen"] is True
    assert re.fullmatch(r"InstrumentationKey=[0-9a-f]{4}\*{4}-….*", result["setting"]["value"])
    assert result["startupCommand"] is None
    assert result["instances"] == "1 UNKNOWN"
    assert result["http"] == "HTTP 200 on /"
    assert result["updates"] == []
    assert result["problems"] == []
    assert result["healthy"] is True
    assert answer.writes == []


def test_a_site_that_is_not_embedded_fails_the_check(site: Site, shared: Site) -> None:
    answer = site.status("--check")
    assert refused(answer) == [
        "the image has no collector",
        f"the app setting {SETTING} is missing",
    ]
    assert answer.json["embedded"] is False
    assert answer.json["collector"] is None
    assert site.status("--only-show-errors").returncode == 0, "it only tells without --check"


def test_a_site_whose_setting_is_gone_fails_the_check(shared: Site) -> None:
    shared.set(**{SETTING: None})
    missing, *more = refused(shared.status("--check"))
    assert missing == f"the app setting {SETTING} is missing"
    # Without it the collector exits at its start, which the log shows sooner or later.
    assert all(one.startswith("the collector doesn't run: ") for one in more)
    shared.set(**{SETTING: shared.cloud.connection_string(shared.component or "")})
    shared.answers()


def test_a_setting_of_another_component_fails_the_check(shared: Site) -> None:
    shared.set(**{SETTING: FOREIGN})
    answer = shared.status("--check")
    (problem,) = refused(answer)
    assert problem.startswith(f"the app setting {SETTING} is not the key of component")
    assert answer.json["setting"]["matches"] is False
    assert "7d7e6f5a-1b2c" not in answer.stdout + answer.stderr
    shared.set(**{SETTING: shared.cloud.connection_string(shared.component or "")})
    shared.answers()


def test_a_component_of_another_group_is_found_by_its_key(shared: Site) -> None:
    cloud = shared.cloud
    group = f"group-{next(cloud.numbers)}"
    cloud.local.add_component({"name": "elsewhere-insights", "group": group})
    shared.set(**{SETTING: cloud.connection_string("elsewhere-insights")})
    shared.answers()
    answer = shared.status("--check", "--wait", "60")
    assert answer.returncode == 0, answer.show()
    assert answer.json["setting"]["component"] == "elsewhere-insights"
    assert answer.json["setting"]["matches"] is True
    shared.set(**{SETTING: cloud.connection_string(shared.component or "")})
    shared.answers()


def test_an_app_that_does_not_answer_fails_the_check(shared: Site) -> None:
    host = shared.url.removeprefix("https://")
    with shared.cloud.fault(service="site", host=host, status=503, times=0):
        problems = refused(shared.status("--check", "--health-path", "/health"))
    assert problems == ["it doesn't answer on /health: HTTP 503"]


def test_a_stopped_instance_fails_the_check(shared: Site) -> None:
    listed = [{"name": letter * 64, "properties": {"state": state}} for letter, state in INSTANCES]
    with shared.cloud.fault(
        service="arm", path=f"{shared.name}/instances$", status=200, body={"value": listed}, times=0
    ):
        answer = shared.status("--check")
    assert refused(answer) == ["an instance is stopped"]
    assert answer.json["instances"] == "1 STOPPED, 1 UNKNOWN"


def test_a_stopped_site_fails_the_check_until_it_is_started(shared: Site) -> None:
    for command in ("stop", "start"):
        done = shared.cloud.run("webapp", command, *shared.arguments)
        assert done.returncode == 0, done.show()
        if command == "stop":
            answer = shared.status("--check")
            assert "the site is stopped" in refused(answer)
            assert answer.json["state"] == "Stopped"
    shared.answers()
    assert shared.status("--check", "--wait", "60", "--only-show-errors").returncode == 0


def test_an_image_that_cannot_be_read_is_not_guessed_about(shared: Site) -> None:
    path = f"/v2/{shared.repository}/manifests/"
    with shared.cloud.fault(service="acr", path=path, status=403, times=0):
        answer = shared.status("--check")
    assert refused(answer) == ["whether the image is embedded is unknown"]
    assert answer.json["embedded"] is None
    assert answer.json["http"] == "HTTP 200 on /"
    (note,) = answer.json["notes"]
    assert note.startswith("The image can't be read: ")


def test_a_base_tag_that_was_pushed_again_is_listed_as_an_update(
    shared: Site, tmp_path: Path
) -> None:
    shared.push("1.0", images.variant(tmp_path, Labels={"built": "again"}))
    (update,) = shared.status("--check").json["updates"]
    assert update.startswith(f"base {shared.repository}:1.0 has a newer image (")
    shared.push("1.0")
    assert shared.status("--check").json["updates"] == []


def test_a_startup_command_is_shown(shared: Site) -> None:
    shared.configure(appCommandLine="/usr/local/bin/shop --greeting Hi")
    eventually(lambda: shared.get().text.startswith("Hi "))
    assert shared.status().json["startupCommand"] == "/usr/local/bin/shop --greeting Hi"
    shared.configure(appCommandLine="")
    eventually(lambda: not shared.get().text.startswith("Hi "))


def test_a_table_and_a_query_are_for_scripts(shared: Site) -> None:
    table = shared.status("-o", "table")
    header, _, row = table.stdout.strip().splitlines()
    assert header.split() == [
        *("Site", "State", "Embedded", "Image", "Collector", "Setting", "Healthy")
    ]
    assert row.split() == [
        *(shared.name, "Running", "True", shared.runs, "0.150.0", "True", "True")
    ]
    word = shared.status("--query", "collector.version", "-o", "tsv", "--only-show-errors")
    assert (word.stdout, word.stderr) == ("0.150.0\n", "")


def test_a_person_gets_a_panel_and_no_json(shared: Site) -> None:
    screen = shared.cloud.on_terminal("otelembed", "status", *shared.arguments)
    assert screen.returncode == 0, screen.text
    assert "● healthy, telemetry not checked" in screen.text
    for name, value in {
        "site": f"{shared.name}  Running  {shared.url}",
        "image": shared.runs,
        "embedded": "yes",
        "base": shared.image("1.0"),
        "collector": "0.150.0",
        "launcher": "exec/3",
        "setting": "InstrumentationKey=",
        "instances": "1 UNKNOWN",
        "answers": "HTTP 200 on /",
    }.items():
        assert re.search(rf"│ {name} +{re.escape(value)}", screen.text), (name, screen.text)
    assert '"embedded"' not in screen.raw
    assert "{" not in screen.text


def test_a_person_who_asks_for_json_gets_json(shared: Site) -> None:
    screen = shared.cloud.on_terminal(
        "otelembed", "status", *shared.arguments, "-o", "json", columns=300
    )
    assert "│" not in screen.text
    start = screen.text.index("{\n")
    assert json.loads(screen.text[start:])["embedded"] is True


def test_the_panel_of_an_ill_site_names_its_problems(
    make_site: Callable[..., Site], shared: Site
) -> None:
    site = make_site(component=False)
    screen = site.cloud.on_terminal("otelembed", "status", *site.arguments, "--check")
    assert screen.returncode == 5, screen.text
    assert "● not healthy" in screen.text
    assert re.search(r"│ problem +the image has no collector", screen.text)
    assert re.search(rf"│ setting +{SETTING} is missing", screen.text)
