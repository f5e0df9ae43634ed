"""Plans, as tables."""

from __future__ import annotations

from dataclasses import replace

import pytest

from azext_otelembed.errors import Refused
from azext_otelembed.image.reference import Reference, same_image
from azext_otelembed.target.app_image import host_as_configured
from azext_otelembed.webapp.apply import restore_command
from azext_otelembed.webapp.observe import SETTING, check_kind
from azext_otelembed.webapp.plan import make_plan
from azext_otelembed.webapp.setting import Setting, linked_component
from tests.unit.samples import SITE

KEY = "InstrumentationKey=0f0e0d0c-0b0a-4909-8807-060504030201"
WANTED = Setting(KEY, "test", "InstrumentationKey=0f0e-…")


def reference(name: str) -> Reference:
    return Reference.parse(f"r.azurecr.io/{name}")


def test_an_image_without_a_name_yet_is_a_change_all_the_same() -> None:
    plan = make_plan(replace(SITE, settings={SETTING: KEY}), None, WANTED)
    assert (plan.image, plan.switches_image, plan.empty) == (None, True, False)


def test_a_fresh_site_gets_the_setting_first_and_then_the_image() -> None:
    plan = make_plan(SITE, reference("shop:2"), WANTED)
    assert [change.what for change in plan.changes] == [f"app setting {SETTING}", "image"]
    assert plan.setting is WANTED
    assert str(plan.image) == "r.azurecr.io/shop:2"


def test_a_site_that_is_as_wanted_has_an_empty_plan() -> None:
    done = replace(SITE, settings={SETTING: KEY})
    assert make_plan(done, Reference.parse("R.azurecr.io/shop:1"), WANTED).empty


def test_no_change_shows_the_key() -> None:
    other = replace(SITE, settings={SETTING: KEY.replace("0f0e0d0c", "ffffffff")})
    plan = make_plan(other, reference("shop:1"), WANTED)
    shown = " ".join(str(change) for change in plan.changes) + repr(plan) + repr(other)
    assert "0b0a-4909" not in shown
    assert not plan.empty


@pytest.mark.parametrize(
    ("fx", "words"),
    [
        ("COMPOSE|dmVyc2lvbg==", "COMPOSE"),
        ("SITECONTAINERS", "none of them is the main one"),
        ("NODE|20-lts", "NODE|20-lts"),
        ("", "no container image"),
        ("DOCKER|", "not a custom container"),
    ],
)
def test_other_kinds_of_site_are_refused_with_the_command_that_shows_them(
    fx: str, words: str
) -> None:
    with pytest.raises(Refused) as refused:
        check_kind(replace(SITE, linux_fx_version=fx))
    assert words in refused.value.message
    assert "-g rg -n shop" in str(refused.value.recommendation)


def test_a_windows_site_is_refused() -> None:
    with pytest.raises(Refused, match="Windows"):
        check_kind(replace(SITE, windows=True))


def test_the_host_is_spelt_as_the_registry_setting_spells_it() -> None:
    settings = {"DOCKER_REGISTRY_SERVER_URL": "https://R.azurecr.io/"}
    assert host_as_configured("r.azurecr.io", settings) == "R.azurecr.io"
    assert host_as_configured("other.azurecr.io", settings) == "other.azurecr.io"


def test_only_the_hosts_case_is_ignored() -> None:
    assert same_image("R.io/a:1", "r.IO/a:1")
    assert not same_image("r.io/a:1", "r.io/a:B")


def test_the_command_that_restores_an_image_names_slot_and_image() -> None:
    slot = replace(SITE, id=replace(SITE.id, slot="staging"))
    command = restore_command(slot, slot.image)
    assert "--slot staging" in command
    assert command.endswith("r.azurecr.io/shop:1")


@pytest.mark.parametrize(
    ("startup", "shown"),
    [
        ("node 'app server.js'", """--startup-cmd 'node '"'"'app server.js'"'"''"""),
        ("app --token leaf-0f0e0d0c", "--startup-cmd <its startup command, which holds a secret>"),
        ("sh -c 'a\nb'", "--startup-cmd <a value that is not printable>"),
        ("app\t\x1b[31m", "--startup-cmd <a value that is not printable>"),
        ("app ##[a]", "--startup-cmd <a value that is not printable>"),
    ],
)
def test_the_command_that_restores_an_image_shows_no_value_of_a_setting(
    startup: str, shown: str
) -> None:
    site = replace(
        SITE,
        settings={"TOKEN": "leaf-0f0e0d0c"},
        container="main",
        container_properties={"image": "r.azurecr.io/shop:1", "startUpCommand": startup},
    )
    assert restore_command(site, site.image).endswith(shown)


def test_the_portals_link_to_a_component_is_found() -> None:
    tags = {"hidden-link: /app-insights-resource-id": "/subscriptions/s/x", "other": "/y"}
    assert linked_component(tags) == "/subscriptions/s/x"
    assert linked_component({"team": "shop"}) is None
