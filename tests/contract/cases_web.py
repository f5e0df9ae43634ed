"""Recordings of Microsoft.Web."""

from __future__ import annotations

from typing import Any

import httpx

from tests.contract.recordings import Sample
from tests.contract.stage import PLAN, Case, Play, Stage


def on_site(stage: Stage, sample: Sample) -> httpx.Response:
    return stage.replay(sample, sites=stage.site())


def in_a_group(stage: Stage, sample: Sample) -> httpx.Response:
    group = f"contract-rg{next(stage.numbers)}"
    path = f"{stage.subscription}/resourceGroups/{group}"
    stage.arm("PUT", path, {"location": "westeurope"}, "2022-09-01").raise_for_status()
    stage.site(group=group)
    return stage.replay(sample, resourceGroups=group)


def on_stack(stage: Stage, sample: Sample) -> httpx.Response:
    config = {"linuxFxVersion": "NODE|16-lts"}
    return stage.replay(sample, sites=stage.site(image=None, kind="app,linux", config=config))


def on_slot(stage: Stage, sample: Sample) -> httpx.Response:
    return stage.replay(sample, sites=stage.site(slot="staging"), slots="staging")


def on_new_site(stage: Stage, sample: Sample) -> httpx.Response:
    return stage.replay(sample, sites=f"made{next(stage.numbers)}", body=_our_plan(stage))


def on_new_slot(stage: Stage, sample: Sample) -> httpx.Response:
    return stage.replay(sample, sites=stage.site(), slots="made", body=_our_plan(stage))


def _our_plan(stage: Stage) -> Any:
    farm = {"serverFarmId": f"{stage.group}/providers/Microsoft.Web/serverfarms/{PLAN}"}
    return lambda body: {**body, "properties": {**body["properties"], **farm}}


def with_system_identity(stage: Stage, sample: Sample) -> httpx.Response:
    config = {"linuxFxVersion": "NODE|16-lts", "acrUseManagedIdentityCreds": True}
    config["acrUserManagedIdentityID"] = ""
    site = stage.site(system_identity=True, image=None, config=config)
    return stage.replay(sample, sites=site)


def with_user_identity(stage: Stage, sample: Sample) -> httpx.Response:
    name = stage.site()
    path = f"{stage.group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/puller"
    made = stage.arm("PUT", path, {"location": "westeurope"}, "2023-01-31").raise_for_status()
    identity = {"type": "UserAssigned", "userAssignedIdentities": {made.json()["id"]: {}}}
    body = {"location": "West Europe", "identity": identity}
    stage.arm("PATCH", stage.site_id(name), body).raise_for_status()
    config = {"acrUseManagedIdentityCreds": True}
    config["acrUserManagedIdentityID"] = made.json()["properties"]["clientId"]
    path = f"{stage.site_id(name)}/config/web"
    stage.arm("PATCH", path, {"properties": config}).raise_for_status()
    return stage.replay(sample, sites=name)


def after_swap(stage: Stage, sample: Sample) -> httpx.Response:
    name = stage.site(slot="staging")
    stage.finish(_swap(stage, name))
    return stage.replay(sample, sites=name, slots="staging")


def _swap(stage: Stage, name: str) -> httpx.Response:
    path = f"{stage.site_id(name)}/slots/staging/slotsswap"
    return stage.arm("POST", path, {"targetSlot": "production", "preserveVnet": True})


def swap_poll(stage: Stage, _: Sample) -> httpx.Response:
    return stage.follow(_swap(stage, stage.site(slot="staging")))


def swap_result(stage: Stage, _: Sample) -> httpx.Response:
    return stage.finish(_swap(stage, stage.site(slot="staging")))


def after_put(below: str, properties: dict[str, Any] | None = None) -> Play:
    """The recorded request, after a PUT of `properties`; None: those of the recording."""

    def play(stage: Stage, sample: Sample) -> httpx.Response:
        name, given = stage.site(), properties or sample.body["properties"]
        path = f"{stage.site_id(name)}/{below}"
        stage.arm("PUT", path, {"properties": given}).raise_for_status()
        return stage.replay(sample, sites=name)

    return play


def with_settings(stage: Stage, sample: Sample) -> httpx.Response:
    return stage.replay(sample, sites=stage.site(app_settings=sample.body["properties"]))


def with_slot_settings(stage: Stage, sample: Sample) -> httpx.Response:
    name = stage.site(slot="staging", app_settings=sample.body["properties"])
    return stage.replay(sample, sites=name, slots="staging")


def running(stage: Stage, sample: Sample) -> httpx.Response:
    return stage.replay(sample, sites=stage.site(state="Running"))


AFTER_STICKY = after_put("config/slotConfigNames", {"appSettingNames": ["s1"]})
WITHOUT_BASIC_AUTH = after_put("basicPublishingCredentialsPolicies/scm", {"allow": False})
CASES = (
    Case("web-site-get-linux-container", on_site),
    Case("web-site-get-raw-2023-12-01", on_site),
    Case("web-site-get-not-container-no-identity", on_stack),
    Case("web-site-get-system-identity", with_system_identity),
    Case(
        "web-site-get-user-identity",
        with_user_identity,
        ("identity.userAssignedIdentities.*",),
        "The keys are the ids of identities.",
    ),
    Case("web-site-get-after-swap", after_swap),
    Case("web-site-put-create-linux-container", on_new_site),
    Case("web-site-put-system-identity", on_site),
    Case("web-sites-list-rg", in_a_group),
    Case("web-slot-get", on_slot),
    Case("web-slot-put-create", on_new_slot),
    Case("web-slots-list", after_swap),
    Case("web-config-web-get", on_site),
    Case("web-config-web-get-acr-msi-system", with_system_identity),
    Case("web-config-web-get-acr-msi-user", with_user_identity),
    Case("web-config-web-patch", on_site),
    Case("web-config-web-patch-acr-user-identity", with_user_identity),
    Case("web-config-web-put", on_site),
    Case("web-config-web-slot-get", on_slot),
    Case("web-config-web-slot-patch", on_slot),
    Case("web-appsettings-list", with_settings),
    Case("web-appsettings-put", on_site),
    Case("web-appsettings-slot-list", with_slot_settings),
    Case("web-appsettings-slot-put", on_slot),
    Case("web-slotconfignames-get-empty", on_site),
    Case("web-slotconfignames-put", on_site),
    Case("web-slotconfignames-get-after-put", AFTER_STICKY),
    Case("web-connectionstrings-list", on_site),
    Case("web-metadata-list", on_site),
    Case("web-config-logs-get", after_put("config/logs")),
    Case("web-config-logs-put", on_site),
    Case("web-publishingcredentials-list", on_site),
    Case("web-scm-policy-get", WITHOUT_BASIC_AUTH),
    Case("web-hostnamebindings-get", on_site),
    Case("web-instances-list", running),
    Case("web-restart", on_site),
    Case("web-stop", running),
    Case("web-start", on_site),
    Case("web-serverfarm-get", on_site),
    Case("web-checknameavailability", on_site),
    Case("web-applyslotconfig", on_slot),
    Case("web-resetslotconfig", on_site),
    Case("web-swap-post-202", on_slot),
    Case("web-swap-poll-202", swap_poll),
    Case("web-swap-poll-200", swap_result),
)
