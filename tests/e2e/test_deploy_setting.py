"""Where `az otelembed deploy` takes the connection string from, and how it sets it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.support import API_KEY, SETTING, Answer, Cloud, Site

KEY = "7d7e6f5a-1b2c-4d3e-8f90-a1b2c3d4e5f6"
GIVEN = f"InstrumentationKey={KEY};IngestionEndpoint=https://localhost:1/"


@pytest.fixture(scope="module")
def shared(cloud: Cloud) -> Site:
    """A site with a component in its group, deployed with a connection string from a file."""
    site = cloud.make_site()
    file = cloud.directory / "connection-string.txt"
    file.write_text(f"{GIVEN}\n")
    answer = site.deploy("--connection-string", f"@{file}")
    assert answer.returncode == 0, answer.show()
    assert KEY not in answer.stdout + answer.stderr
    assert site.settings()[SETTING] == GIVEN
    return site


def planned(answer: Answer) -> tuple[str, list[str]]:
    """Where the setting comes from, and what would change, of a dry run."""
    assert answer.returncode == 0, answer.show()
    assert answer.writes == []
    result = answer.json
    return result["setting"]["source"], [change["what"] for change in result["changes"]]


def test_a_connection_string_comes_from_standard_input(shared: Site) -> None:
    given = GIVEN.replace("localhost:1/", "localhost:2/")
    answer = shared.deploy("--connection-string", "-", input=f"{given}\n")
    assert answer.returncode == 0, answer.show()
    assert shared.settings()[SETTING] == given
    assert [change["what"] for change in answer.json["changes"]] == [f"app setting {SETTING}"]
    assert answer.json["changed"] is True
    assert KEY not in answer.stdout + answer.stderr


def test_a_connection_string_is_put_in_order_before_it_is_set(shared: Site) -> None:
    untidy = f" instrumentationkey={KEY} ;; INGESTIONENDPOINT=https://localhost:3/;"
    before = shared.settings()
    answer = shared.deploy("--connection-string", untidy)
    assert answer.returncode == 0, answer.show()
    now = shared.settings()
    assert now[SETTING] == GIVEN.replace("localhost:1/", "localhost:3/")
    assert {**now, SETTING: ""} == {**before, SETTING: ""}
    assert now["PAYMENT_API_KEY"] == API_KEY
    again = shared.deploy("--connection-string", untidy)
    assert again.json["changed"] is False


def test_the_value_that_a_site_has_is_kept(make_site: Callable[..., Site], shared: Site) -> None:
    site = make_site(settings={SETTING: GIVEN}, wait=False)
    assert planned(site.deploy("--dry-run")) == ("already set", ["image"])


def test_an_untidy_value_that_a_site_has_is_put_in_order(
    make_site: Callable[..., Site], shared: Site
) -> None:
    site = make_site(settings={SETTING: f"{GIVEN};"}, wait=False)
    source, changes = planned(site.deploy("--dry-run"))
    assert source == "already set"
    assert changes == [f"app setting {SETTING}", "image"]


def test_a_key_vault_reference_that_a_site_has_is_kept(
    make_site: Callable[..., Site], shared: Site
) -> None:
    reference = "@Microsoft.KeyVault(SecretUri=https://vault.example/secrets/telemetry)"
    site = make_site(settings={SETTING: reference}, wait=False)
    assert planned(site.deploy("--dry-run")) == ("already set", ["image"])


def test_the_component_that_the_portal_linked_is_taken(
    make_site: Callable[..., Site], shared: Site
) -> None:
    cloud = shared.cloud
    component = (
        f"/subscriptions/{cloud.local.subscription}/resourceGroups/{shared.group}"
        f"/providers/Microsoft.Insights/components/{shared.component}"
    )
    site = make_site(tags={"hidden-link: /app-insights-resource-id": component}, wait=False)
    source, _ = planned(site.deploy("--dry-run"))
    assert source == f"component '{shared.component}' (linked on the site)"


def test_a_component_is_named_by_its_id(make_site: Callable[..., Site], shared: Site) -> None:
    cloud = shared.cloud
    component = (
        f"/subscriptions/{cloud.local.subscription}/resourceGroups/{shared.group}"
        f"/providers/microsoft.insights/components/{shared.component}"
    )
    site = make_site(settings={SETTING: GIVEN}, wait=False)
    source, changes = planned(site.deploy("--dry-run", "--app-insights", component))
    assert source == f"component '{shared.component}' (--app-insights)"
    assert changes == [f"app setting {SETTING}", "image"]


def test_a_setting_that_another_process_adds_meanwhile_is_kept_and_reported(
    make_site: Callable[..., Site],
) -> None:
    site = make_site()
    cloud = site.cloud
    # The listing right before the write is the second one of the command.
    listing = {"service": "arm", "method": "POST", "path": f"{site.name}/config/appsettings/list"}
    before = cloud.mark()
    with cloud.fault(**listing, nth=2, hold=True):
        process = cloud.az.popen("otelembed", "deploy", *site.arguments)
        held = cloud.until_held(process, before)
        assert held["path"].lower().endswith(f"{site.name}/config/appsettings/list")
        site.set(ADDED_MEANWHILE="by another process")
        cloud.local.release()
        stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert site.settings()["ADDED_MEANWHILE"] == "by another process"
    assert site.settings()[SETTING] == cloud.connection_string(site.component or "")
    assert "Another process changed app settings in the meantime" in stderr
    assert "ADDED_MEANWHILE" in stderr
    assert "by another process" not in stdout + stderr


def test_the_path_given_is_the_one_that_must_answer(make_site: Callable[..., Site]) -> None:
    site = make_site()
    answer = site.deploy("--health-path", "/health")
    assert answer.returncode == 0, answer.show()
    assert answer.json["evidence"]["http"].startswith("HTTP 200 on /health")
    assert {r["path"] for r in answer.requests if r["service"] == "site"} == {"/health"}
