"""Sites with site containers, Key Vault references, locks, policies and every way to pull."""

from __future__ import annotations

import io
import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from azext_otelembed.console import Console
from azext_otelembed.errors import NotFound, Refused, Unauthorized
from azext_otelembed.release.doctor import doctor
from azext_otelembed.release.telemetry_check import TelemetryQuestion
from azext_otelembed.validation.binary_cache import BinaryCache
from localazure.az import Az
from tests.e2e.support import IMAGES, SETTING, SETTINGS, Cloud, Site
from tests.release.support import OLD, Hand, MakeSite, Push, id_of, session_of, writes

VERSION = "0123456789abcdef0123456789abcdef"
WITHOUT_IDENTITY = {"config": {"acrUseManagedIdentityCreds": False}}
"""Of a site that doesn't pull with an identity."""


# Key Vault references


def with_vault(site: Site, **spec: Any) -> str:
    """Makes a vault with a secret that the site's identity may read; returns the secret's URI."""
    principal = site.cloud.arm("GET", site.id)["identity"]["principalId"]
    vault = f"vault-{site.name}"
    fields = {
        "name": vault,
        "group": site.group,
        "secrets": {"appinsights": {VERSION: OLD}},
        "readers": [principal],
    }
    site.cloud.local.add_vault({**fields, **spec})
    return f"https://{vault}.vault.azure.net/secrets/appinsights"


def test_a_key_vault_reference_is_set_and_resolved(make_site: MakeSite, hand: Hand) -> None:
    site = make_site()
    secret = with_vault(site)
    ended = hand.deploy(site, secret_uri=secret)
    assert ended.exit_status == 0, ended
    assert site.settings()[SETTING] == f"@Microsoft.KeyVault(SecretUri={secret})"
    again = hand.deploy(site)
    assert again.result["changes"] == []
    assert again.result["setting"]["source"] == "already set"


@pytest.mark.parametrize(
    "before",
    [pytest.param(None, id="absent"), pytest.param(OLD, id="there", marks=pytest.mark.thorough)],
)
@pytest.mark.parametrize(
    ("status", "mend"),
    [
        ("MSINotEnabled", "az webapp identity assign"),
        ("AccessToKeyVaultDenied", "az keyvault set-policy -n vault-"),
        ("VaultNotFound", "az keyvault list"),
        ("SecretNotFound", "az keyvault secret list"),
        ("SecretVersionNotFound", "list-versions"),
        ("OtherReasons", "az webapp show"),
    ],
)
def test_a_reference_that_is_not_resolved_stops_before_the_image_changes(
    make_site: MakeSite, hand: Hand, status: str, mend: str, before: str | None
) -> None:
    site = make_site(settings={SETTING: before} if before else {})
    secret = make_fail(site, status)
    earlier = site.settings()
    with pytest.raises(Refused) as refused:
        hand.deploy(site, secret_uri=secret)
    assert f"can't read the Key Vault secret of {SETTING}: {status}" in refused.value.message
    assert mend in (refused.value.recommendation or "")
    assert site.settings() == earlier
    assert site.runs == site.image()
    assert hand.states(site) == ["failed"]


def make_fail(site: Site, status: str) -> str:
    """Makes a secret that the site can't read, for the reason that a status names; its URI."""
    if status == "VaultNotFound":
        return f"https://none-{site.name}.vault.azure.net/secrets/appinsights"
    secret = with_vault(site, **({"readers": []} if status == "AccessToKeyVaultDenied" else {}))
    if status == "MSINotEnabled":
        # An identity that the site doesn't have.
        missing = {"keyVaultReferenceIdentity": f"{site.id}/no-identity"}
        site.cloud.arm("PATCH", site.id, {"properties": missing})
    if status == "OtherReasons":
        path, body = f"{site.name}/config/configreferences", {"properties": {"status": status}}
        site.cloud.local.fault(path=path, status=200, body=body, times=0)
    wrong = {"SecretNotFound": "-2", "SecretVersionNotFound": f"/{'f' * 32}"}
    return secret + wrong.get(status, "")


def test_a_reference_that_takes_a_moment_is_waited_for(
    make_site: MakeSite, hand: Hand, cloud: Cloud
) -> None:
    site = make_site()
    secret = with_vault(site)
    body = {"properties": {"status": "Initialized", "details": None}}
    with cloud.fault(path=f"{site.name}/config/configreferences", status=200, body=body, times=2):
        ended = hand.deploy(site, secret_uri=secret)
    assert ended.exit_status == 0, ended


# Site containers


def with_containers(site: Site, **properties: Any) -> dict[str, Any]:
    """Makes a site one of site containers: `main` runs its image, `cache` something else."""
    main = {
        "image": site.image(),
        "isMain": True,
        "targetPort": "8080",
        "startUpCommand": "/usr/local/bin/shop --verbose",
        "authType": "SystemIdentity",
        "environmentVariables": [{"name": "CURRENCY", "value": "SHOP_CURRENCY"}],
        "volumeMounts": [{"volumeSubPath": "/logs", "containerMountPath": "/var/log/shop"}],
        **properties,
    }
    other = {"image": site.image("side"), "isMain": False, "targetPort": "6379"}
    for name, container in (("main", main), ("cache", other)):
        path = f"{site.id}/sitecontainers/{name}"
        site.cloud.arm("PUT", path, {"properties": container})
    site.configure(linuxFxVersion="SITECONTAINERS")
    site.answers()
    return containers(site)


def containers(site: Site) -> dict[str, Any]:
    """The properties of the site's containers, by name, without times."""
    listed = site.cloud.arm("GET", f"{site.id}/sitecontainers")["value"]
    return {
        one["name"].rpartition("/")[2]: {
            key: value
            for key, value in one["properties"].items()
            if key not in ("createdTime", "lastModifiedTime")
        }
        for one in listed
    }


def test_of_a_site_of_containers_the_main_ones_image_changes_and_nothing_else(
    site: Site, hand: Hand
) -> None:
    before = with_containers(site)
    ended = hand.deploy(site)
    assert ended.exit_status == 0, ended
    name = ended.result["image"]["name"]
    assert name != site.image()
    assert containers(site) == {**before, "main": {**before["main"], "image": name}}
    assert site.configuration()["linuxFxVersion"] == "SITECONTAINERS"
    assert SETTING in site.settings()
    assert hand.deploy(site).result["changes"] == []
    removed = hand.remove(site)
    assert removed.exit_status == 0, removed
    assert containers(site) == before
    assert SETTING not in site.settings()


def test_a_site_of_containers_is_rolled_back(site: Site, hand: Hand, push: Push) -> None:
    before = with_containers(site, startUpCommand=None)
    ended = hand.deploy(site, image=push(site, "bad", "exit 3"), timeout=20)
    assert ended.exit_status == 4, ended
    assert containers(site) == before
    assert SETTING not in site.settings()


@pytest.mark.parametrize(
    "restarts",
    [False, pytest.param(True, marks=pytest.mark.thorough)],
    ids=["the write doesn't restart it", "the write restarts it"],
)
def test_a_site_of_containers_is_restarted_where_its_write_does_not_do_so(
    make_site: MakeSite, hand: Hand, cloud: Cloud, restarts: bool
) -> None:
    site = make_site(container_put_restarts=restarts)
    with_containers(site)
    before = cloud.mark()
    if restarts:  # by the write, however long its start takes to show
        hand = replace(hand, pace=replace(hand.pace, idle=20))
    ended = hand.deploy(site)
    assert ended.exit_status == 0, ended
    assert ended.evidence["log"] == "the new image started and is ready"
    asked = [r["path"] for r in cloud.requests(before) if r["path"].endswith("/restart")]
    assert len(asked) == (not restarts)
    assert ("was restarted" in ended.said) is not restarts


@pytest.mark.thorough
def test_a_site_of_containers_that_can_not_be_restarted_is_unproven(
    make_site: MakeSite, hand: Hand, cloud: Cloud
) -> None:
    site = make_site(container_put_restarts=False)
    with_containers(site)
    with cloud.fault(method="POST", path=f"{site.name}/restart", status=403, times=0):
        ended = hand.deploy(site, timeout=15)
    assert (ended.exit_status, ended.release) == (6, "unproven")
    assert "can't be restarted" in ended.said
    before = cloud.mark()
    hand.wait(site, timeout=5)
    assert not [r for r in cloud.requests(before) if r["path"].endswith("/restart")], (
        "nothing was written since"
    )


@pytest.mark.thorough
def test_the_command_that_puts_a_main_container_back_keeps_all_of_it(
    site: Site, hand: Hand, push: Push, az: Az
) -> None:
    before = with_containers(site)
    ended = hand.deploy(site, image=push(site, "bad", "exit 3"), timeout=20, rollback=False)
    # The startup command wins over CMD, not over the entrypoint that fails.
    assert ended.exit_status == 5, ended
    (command,) = [line for line in ended.said.splitlines() if "az webapp sitecontainers" in line]
    done = az.run(*shlex.split(command)[1:], "-o", "none")
    assert done.returncode == 0, done.stderr
    assert containers(site) == before
    site.answers()


# Pull access


def refused_and_fixed(site: Site, hand: Hand, az: Az, match: str) -> str:
    """Runs the commands that the deploy's error recommends, with the real az; the first one."""
    with pytest.raises(Refused, match=match) as refused:
        hand.deploy(site)
    told = refused.value.recommendation or ""
    commands = told.split("`")[1::2]
    for command in commands:
        assert command.startswith("az "), told
        done = az.run(*shlex.split(command)[1:], "-o", "none")
        assert done.returncode == 0, f"{command}: {done.stderr}"
    return commands[0]


def test_a_missing_role_is_named_with_the_command_that_gives_it(
    make_site: MakeSite, hand: Hand, az: Az
) -> None:
    site = make_site(pulls=False, wait=False)
    command = refused_and_fixed(site, hand, az, "may not pull from registry 'shopregistry'")
    assert site.runs == site.image()
    assert hand.states(site) == []
    assert '"AcrPull"' in command
    assert hand.deploy(site).exit_status == 0


def test_in_abac_mode_another_role_counts(
    make_site: MakeSite, hand: Hand, cloud: Cloud, az: Az
) -> None:
    name = cloud.add_registry()
    cloud.local.change_registry(name, role_assignment_mode="AbacRepositoryPermissions")
    me = cloud.local.client_id
    scope = cloud.registry_id(name)
    for role in (
        "Container Registry Repository Contributor",
        "Container Registry Repository Catalog Lister",
    ):
        az.run("role", "assignment", "create", "--role", role, "--assignee", me, "--scope", scope)
    site = make_site(registry=name, wait=False)
    command = refused_and_fixed(site, hand, az, "where AcrPull gives no access")
    assert '"Container Registry Repository Reader"' in command
    assert hand.deploy(site).exit_status == 0


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        pytest.param({"system_identity": False}, ["and has none", "may not pull"], id="none"),
        pytest.param(
            WITHOUT_IDENTITY, ["no way to pull"], id="not in use", marks=pytest.mark.thorough
        ),
    ],
)
def test_a_site_that_lacks_a_way_to_pull_is_told_the_commands_that_give_it_one(
    make_site: MakeSite, hand: Hand, az: Az, spec: dict[str, Any], words: list[str]
) -> None:
    site = make_site(**spec, pulls=False, wait=False)
    for match in words:
        refused_and_fixed(site, hand, az, match)
    assert hand.deploy(site).exit_status == 0


@pytest.mark.parametrize("admin", [True, False], ids=["admin user", "anyone"])
def test_credentials_of_the_admin_user_or_a_registry_open_to_anyone_are_enough(
    make_site: MakeSite, hand: Hand, cloud: Cloud, admin: bool
) -> None:
    name, password = cloud.add_registry(), "not-a-secret"
    access = {"admin_enabled": True, "admin_password": password}
    cloud.local.change_registry(name, **(access if admin else {"anonymous_pull": True}))
    prefix = "DOCKER_REGISTRY_SERVER_"
    credentials = {f"{prefix}USERNAME": name, f"{prefix}PASSWORD": password} if admin else {}
    site = make_site(registry=name, pulls=False, settings=credentials, **WITHOUT_IDENTITY)
    assert hand.deploy(site).exit_status == 0


@pytest.mark.parametrize(
    ("password", "enabled"), [("not-the-secret", True), ("not-a-secret", False), (None, True)]
)
def test_credentials_that_the_registry_does_not_take_are_refused(
    make_site: MakeSite, hand: Hand, cloud: Cloud, password: str | None, enabled: bool
) -> None:
    name = cloud.add_registry()
    cloud.local.change_registry(name, admin_enabled=enabled, admin_password="not-a-secret")
    given = {"DOCKER_REGISTRY_SERVER_PASSWORD": password} if password else {}
    settings = {"DOCKER_REGISTRY_SERVER_USERNAME": name, **given}
    site = make_site(registry=name, pulls=False, wait=False, settings=settings, **WITHOUT_IDENTITY)
    before = site.settings()
    with pytest.raises(Refused, match=f"as '{name}'") as refused:
        hand.deploy(site)
    assert "az acr credential show" in (refused.value.recommendation or "")
    assert "not-" not in refused.value.message
    assert (site.runs, site.settings()) == (site.image(), before)
    assert hand.history(site) == []


def test_a_password_behind_a_reference_is_not_tried_and_that_is_said(
    make_site: MakeSite, hand: Hand, cloud: Cloud
) -> None:
    settings = {
        "DOCKER_REGISTRY_SERVER_USERNAME": "someone",
        "DOCKER_REGISTRY_SERVER_PASSWORD": "@Microsoft.KeyVault(SecretUri=https://v/secrets/p)",
    }
    site = make_site(wait=False, settings=settings, **WITHOUT_IDENTITY)
    ended = hand.deploy(site, wait=False)
    assert "its sign-in was not checked" in ended.said


def test_a_main_container_with_a_password_that_cannot_be_read_is_refused(
    site: Site, hand: Hand
) -> None:
    before = with_containers(site, authType="UserCredentials", userName="someone")
    with pytest.raises(Refused, match="would lose it") as refused:
        hand.deploy(site)
    assert "--system-assigned-identity true" in (refused.value.recommendation or "")
    assert containers(site) == before
    told = doctor(
        hand.session,
        id_of(site),
        question=TelemetryQuestion(),
        app_insights=None,
        health_path="/",
        console=Console(stream=io.StringIO()),
        binaries=BinaryCache(Path("/nonexistent")),
    )
    pull = told["links"][1]
    assert (pull["link"], pull["state"]) == ("pull", "unknown"), "the site itself has the password"


def test_a_role_that_is_missing_in_another_subscription_is_named_with_the_command(
    make_site: MakeSite, cloud: Cloud
) -> None:
    group, name = "shared-registries", "sharedregistry"
    other = cloud.local.add_subscription("shared", [group])
    cloud.local.add_registry({"name": name, "group": group})
    site = make_site(registry=name, pulls=False, wait=False)
    own = f"/subscriptions/{cloud.local.subscription}"
    hand = Hand(
        session_of(cloud.local, cloud.token(("Owner", own), ("Owner", f"/subscriptions/{other}")))
    )
    with pytest.raises(Refused, match="may not pull from registry 'sharedregistry'") as refused:
        hand.deploy(site)
    command = (refused.value.recommendation or "").partition("`")[2].partition("`")[0]
    assert f"--scope /subscriptions/{other}/resourceGroups/{group}/" in command
    assert '--role "AcrPull"' in command
    assert site.runs == site.image()


def test_a_registry_that_cannot_be_seen_is_noted_and_not_refused(
    site: Site, hand: Hand, cloud: Cloud
) -> None:
    assert hand.deploy(site).exit_status == 0, "the collector is in the registry from now on"
    site.push("2.0", IMAGES / "app", source="1.0")
    path = r"^/subscriptions/[^/]+/providers/Microsoft\.ContainerRegistry/registries$"
    with cloud.fault(path=path, status=200, body={"value": []}, times=0):
        ended = hand.deploy(site, image=site.image("2.0"))
    assert ended.exit_status == 0, ended
    assert f"the right of Web App '{site.name}' to pull from it was not checked" in ended.said
    assert "az role assignment list --scope" in ended.said


@pytest.mark.thorough
def test_the_sites_own_subscription_is_asked_no_second_time_where_its_id_is_in_capitals(
    site: Site, hand: Hand, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hand.deploy(site).exit_status == 0, "the collector is in the registry from now on"
    path = r"^/subscriptions/[^/]+/providers/Microsoft\.ContainerRegistry/registries$"

    def asked(tag: str) -> int:
        site.push(tag, IMAGES / "app", source="1.0")
        since = cloud.mark()
        with cloud.fault(path=path, status=200, body={"value": []}, times=0):
            assert hand.deploy(site, image=site.image(tag)).exit_status == 0
        own = f"/subscriptions/{cloud.local.subscription}/providers/Microsoft.ContainerRegistry/"
        paths = [record["path"].lower() for record in cloud.requests(since)]
        return paths.count(f"{own}registries".lower())

    usual = asked("2.0")
    capitals = replace(id_of(site), subscription=cloud.local.subscription.upper())
    monkeypatch.setattr("tests.release.support.id_of", lambda _site: capitals)
    assert asked("3.0") == usual >= 1


# Locks and policies


@contextmanager
def locked(az: Az, scope: str) -> Iterator[None]:
    """A read-only lock."""
    path = f"{scope}/providers/Microsoft.Authorization/locks/frozen"
    done = az.run(
        *("rest", "--method", "put", "--url", f"{path}?api-version=2016-09-01"),
        *("--body", json.dumps({"properties": {"level": "ReadOnly"}})),
    )
    assert done.returncode == 0, done.stderr
    yield
    done = az.run("rest", "--method", "delete", "--url", f"{path}?api-version=2016-09-01")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("at", ["site", "group"])
def test_a_lock_is_explained_and_nothing_is_changed(
    site: Site, cloud: Cloud, az: Az, at: str
) -> None:
    hand = Hand(session_of(cloud.local, client="locked-out"))
    settings = site.settings()
    scope = site.id if at == "site" else site.id.partition("/providers/")[0]
    with locked(az, scope):
        before = cloud.mark()
        with pytest.raises(Unauthorized) as refused:
            hand.deploy(site)
        assert not writes(r for r in cloud.requests(before) if r["client"] == "locked-out")
    assert "a lock forbids it" in refused.value.message
    assert "az lock list" in (refused.value.recommendation or "")
    assert (site.runs, site.settings()) == (site.image(), settings)
    assert hand.deploy(site).exit_status == 0


POLICY = {
    "error": {
        "code": "RequestDisallowedByPolicy",
        "target": "web",
        "message": "Resource 'web' was disallowed by policy. Policy identifiers: 'shop-images'.",
    }
}


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", "config/appsettings"), ("PATCH", "config/web")]
)
def test_a_policy_is_explained_and_what_was_written_is_taken_back(
    site: Site, hand: Hand, cloud: Cloud, method: str, path: str
) -> None:
    denied = {"method": method, "path": f"{site.name}/{path}", "status": 403, "body": POLICY}
    settings = site.settings()
    with cloud.fault(**denied), pytest.raises(Unauthorized) as refused:
        hand.deploy(site)
    assert "an Azure Policy forbids it" in refused.value.message
    assert "shop-images" in refused.value.message
    assert "az policy exemption create" in (refused.value.recommendation or "")
    assert site.settings() == settings
    assert site.runs == site.image()
    assert hand.states(site) == ["failed"]
    assert hand.deploy(site).exit_status == 0
    assert settings == {**SETTINGS, "DOCKER_REGISTRY_SERVER_URL": f"https://{site.host}"}


def test_a_site_that_is_not_there_is_named(site: Site, hand: Hand) -> None:
    site.cloud.delete(site)
    with pytest.raises(NotFound, match=f"'{site.name}' was not found"):
        hand.deploy(site)
    site.cloud.make_site(group=site.group, name=site.name, wait=False)
