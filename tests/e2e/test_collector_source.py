"""Where the collector comes from: private registries, with who may read them, and Azure's own."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from localazure.images.assemble import write_layout
from tests.e2e.support import IMAGES, Answer, Cloud
from tests.registry import images

USER, PASSWORD = "robot", "pull-me-Pl3ase-now"
COLLECTOR = "team/collector"
_NUMBERS = itertools.count(1)


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """A collector that nobody needs."""
    write_layout(tmp_path / "collector", images.collector(), "0.9.0")
    return tmp_path / "collector"


def private_hub(cloud: Cloud, layout: Path) -> str:
    """A registry outside Azure that only the robot may read; its host."""
    name = f"vault{next(_NUMBERS)}"
    cloud.local.add_registry({"name": name, "acr": False, "users": {USER: PASSWORD}})
    cloud.local.push(name, COLLECTOR, "0.9.0", layout)
    return cloud.local.registries[name]


def build(cloud: Cloud, collector: str, *arguments: str, **options: Any) -> Answer:
    """`az otelembed build` of the sample app, in a registry that has no collector yet."""
    registry = cloud.add_registry()
    cloud.push("apps/shop", "1.0", IMAGES / "app", registry=registry)
    base = f"{cloud.local.registries[registry]}/apps/shop:1.0"
    named = ("--image", base, "--collector-image", collector)
    return cloud.otelembed("build", *named, *arguments, **options)


def asked(answer: Answer, host: str) -> list[dict[str, Any]]:
    """The requests that reached a registry."""
    return [r for r in answer.requests if r["host"] == host]


@pytest.mark.parametrize("way", ["imported", "copied"])
@pytest.mark.parametrize("given", ["@file", "-"])
def test_a_private_registrys_collector_is_had_with_its_user_and_password(
    cloud: Cloud, layout: Path, tmp_path: Path, way: str, given: str
) -> None:
    host = private_hub(cloud, layout)
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    login = ("--collector-username", USER, "--collector-password")
    word = f"@{file}" if given == "@file" else given
    fault = {"service": "arm", "path": "importImage", "status": 403}
    options = {} if given == "@file" else {"input": f"{PASSWORD}\n"}
    with cloud.fault(**fault if way == "copied" else {"service": "none"}, times=0):
        answer = build(cloud, f"{host}/{COLLECTOR}:0.9.0", *login, word, "--debug", **options)
    assert answer.returncode == 0, answer.show()
    imports = [r["status"] for r in answer.requests if r["path"].endswith("/importImage")]
    # The double imports from there only with the right user and password in the body.
    assert imports == [202 if way == "imported" else 403]
    tokens = [r for r in asked(answer, host) if r["path"].startswith("/token")]
    assert [(r["authorization"], r["status"]) for r in tokens] == (
        [] if way == "imported" else [(True, 200)]
    )
    assert "cli.azure.cli.core" in answer.stderr, "--debug was on"
    assert PASSWORD not in answer.stdout + answer.stderr


@pytest.mark.parametrize("login", [(), (USER, "wrong-wrong")], ids=["nobody", "wrong"])
def test_a_private_registry_stays_closed_to_others(
    cloud: Cloud, layout: Path, login: tuple[str, str]
) -> None:
    host = private_hub(cloud, layout)
    given = ("--collector-username", login[0], "--collector-password", login[1]) if login else ()
    answer = build(cloud, f"{host}/{COLLECTOR}:0.9.0", *given)
    assert answer.returncode == 1, answer.show()
    assert host in answer.stderr
    assert "wrong-wrong" not in answer.stdout + answer.stderr


def test_another_registry_of_the_callers_is_imported_from_by_its_id(
    cloud: Cloud, layout: Path
) -> None:
    registry = cloud.add_registry()
    digest = cloud.local.push(registry, COLLECTOR, "0.9.0", layout)
    host = cloud.local.registries[registry]
    answer = build(cloud, f"{host}/{COLLECTOR}:0.9.0@{digest}")
    assert answer.returncode == 0, answer.show()
    imports = [r["status"] for r in answer.requests if r["path"].endswith("/importImage")]
    assert imports == [202]
    assert not asked(answer, host), "it was copied through this machine"


def test_who_sees_no_registry_gets_a_copy_without_an_import(cloud: Cloud, layout: Path) -> None:
    pusher = cloud.caller(("AcrPush", f"/subscriptions/{cloud.local.subscription}"))
    cloud.local.push("hub", COLLECTOR, "0.9.0", layout)
    hub = cloud.local.registries["hub"]
    answer = build(cloud, f"{hub}/{COLLECTOR}:0.9.0", az=pusher)
    assert answer.returncode == 0, answer.show()
    assert not [r for r in answer.requests if r["path"].lower().endswith("/importimage")]
    assert asked(answer, hub), "it was copied through this machine"
