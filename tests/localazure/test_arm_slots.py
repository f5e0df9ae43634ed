"""Slots: their names, their swap as a long-running operation, and what is sticky."""

from __future__ import annotations

from tests.localazure.arm_support import Arm, error

SWAP = {"targetSlot": "production", "preserveVnet": True}


def swap(arm: Arm, slot: str) -> None:
    assert arm.finish(arm.call("POST", f"{slot}/slotsswap", SWAP)).status_code == 200


def test_a_slot_is_named_after_its_site(arm: Arm) -> None:
    site = arm.site(name="slotted")
    slot = arm.slot(site)
    found = arm.get(slot)
    assert (found["name"], found["type"]) == ("slotted/staging", "Microsoft.Web/sites/slots")
    assert found["properties"]["name"] == "slotted(staging)"
    assert found["properties"]["repositorySiteName"] == "slotted"
    assert found["properties"]["defaultHostName"] != arm.get(site)["properties"]["defaultHostName"]
    (listed,) = arm.get(f"{site}/slots")["value"]
    assert listed["id"] == slot


def test_settings_of_a_slot_are_its_own_and_have_its_id(arm: Arm) -> None:
    site = arm.site(app_settings={"A": "1"})
    slot = arm.slot(site, app_settings={"A": "2"})
    answer = arm.call("PUT", f"{slot}/config/appsettings", {"properties": {"A": "3"}}).json()
    assert answer["id"] == f"{slot}/config/appsettings"
    assert answer["type"] == "Microsoft.Web/sites/config"
    assert arm.settings(site) == {"A": "1"}


def test_a_slots_configuration_is_written_in_the_slots_envelope(arm: Arm) -> None:
    slot = arm.slot(arm.site(name="enveloped"))
    body = {"properties": {"linuxFxVersion": "DOCKER|example.com/a:2"}}
    answer = arm.call("PATCH", f"{slot}/config/web", body).json()
    assert (answer["id"], answer["type"]) == (slot, "Microsoft.Web/sites/slots")
    assert answer["name"] == "enveloped/staging"


def test_a_missing_slot_is_404_and_a_put_creates_it_without_settings(arm: Arm) -> None:
    site = arm.site(app_settings={"A": "1"})
    slot = f"{site}/slots/new"
    missing = arm.call("GET", slot)
    assert error(missing) == (404, "ResourceNotFound")
    assert "/slots/new'" in missing.json()["error"]["message"]
    made = arm.call("PUT", slot, {"location": "westeurope", "properties": {}})
    assert made.status_code == 200
    assert arm.settings(slot) == {}
    assert arm.config(slot)["linuxFxVersion"] == ""


def test_a_swap_has_a_new_polling_address_each_time_and_ends_in_the_source_slot(arm: Arm) -> None:
    slot = arm.slot(arm.site())
    first = arm.call("POST", f"{slot}/slotsswap", SWAP)
    assert (first.status_code, first.content) == (202, b"")
    assert "azure-asyncoperation" not in first.headers
    assert first.headers["location"].startswith(f"{arm.azure.management}{slot}/operationresults/")
    assert first.headers["retry-after"] == "1"
    second = arm.call("GET", first.headers["location"])
    assert (second.status_code, second.content) == (202, b"")
    assert second.headers["location"] != first.headers["location"]
    last = arm.finish(second).json()
    assert last["id"] == slot
    status = last["properties"]["slotSwapStatus"]
    assert status["sourceSlotName"] == "staging"
    assert status["destinationSlotName"] == "Production"
    assert status["timestampUtc"].endswith("Z")


def test_an_altered_polling_address_is_404(arm: Arm) -> None:
    answer = arm.call("POST", f"{arm.slot(arm.site())}/slotsswap", SWAP)
    altered = answer.headers["location"].replace("&s=", "&s=x")
    assert arm.call("GET", altered).status_code == 404
    arm.finish(answer)


def test_a_swap_exchanges_images_and_settings_except_sticky_ones(arm: Arm) -> None:
    site = arm.site(image="example.com/a:1", app_settings={"MOVES": "p", "STAYS": "p", "ONLY": "p"})
    slot = arm.slot(site, image="example.com/a:2", app_settings={"MOVES": "s", "STAYS": "s"})
    names = {"properties": {"appSettingNames": ["STAYS", "ONLY"]}}
    arm.call("PUT", f"{site}/config/slotConfigNames", names)
    swap(arm, slot)
    assert arm.settings(site) == {"MOVES": "s", "STAYS": "p", "ONLY": "p"}
    assert arm.settings(slot) == {"MOVES": "p", "STAYS": "s"}
    assert arm.config(site)["linuxFxVersion"] == "DOCKER|example.com/a:2"
    assert arm.config(slot)["linuxFxVersion"] == "DOCKER|example.com/a:1"
    swap(arm, slot)
    assert arm.settings(site) == {"MOVES": "p", "STAYS": "p", "ONLY": "p"}
    assert arm.settings(slot) == {"MOVES": "s", "STAYS": "s"}


def test_always_on_stays_with_the_slot(arm: Arm) -> None:
    site = arm.site(config={"alwaysOn": True})
    slot = arm.slot(site, config={"alwaysOn": False})
    swap(arm, slot)
    assert arm.config(site)["alwaysOn"] is True
    assert arm.config(slot)["alwaysOn"] is False


def test_the_site_form_swaps_production_with_the_slot(arm: Arm) -> None:
    site = arm.site(app_settings={"A": "p"})
    slot = arm.slot(site, app_settings={"A": "s"})
    answer = arm.finish(arm.call("POST", f"{site}/slotsswap", {"targetSlot": "staging"}))
    assert answer.json()["id"] == site
    assert (arm.settings(site), arm.settings(slot)) == ({"A": "s"}, {"A": "p"})


def test_during_a_swap_writes_are_refused_in_the_form_of_microsoft_web(arm: Arm) -> None:
    site = arm.site()
    slot = arm.slot(site)
    running = arm.call("POST", f"{slot}/slotsswap", SWAP)
    for path in (site, slot):
        answer = arm.call("PATCH", f"{path}/config/web", {"properties": {"appCommandLine": "x"}})
        assert error(answer) == (409, "Conflict")
        assert "error" not in answer.json()
        assert "OperationName: SwapSiteSlots" in answer.json()["Message"]
        assert answer.json()["Details"][2]["ErrorEntity"]["ExtendedCode"] == "59203"
    assert arm.call("GET", site).status_code == 200
    arm.finish(running)
    body = {"properties": {"appCommandLine": "x"}}
    assert arm.call("PATCH", f"{site}/config/web", body).status_code == 200


def test_a_preview_applies_sticky_settings_to_the_source_until_its_reset(arm: Arm) -> None:
    site = arm.site(app_settings={"MOVES": "p", "STAYS": "p"})
    slot = arm.slot(site, app_settings={"MOVES": "s", "STAYS": "s"})
    names = {"properties": {"appSettingNames": ["STAYS"]}}
    arm.call("PUT", f"{site}/config/slotConfigNames", names)
    preview = arm.call("POST", f"{slot}/applySlotConfig", SWAP)
    assert (preview.status_code, preview.content) == (200, b"")
    assert arm.settings(slot) == {"MOVES": "s", "STAYS": "p"}
    assert arm.get(slot)["properties"]["targetSwapSlot"] == "production"
    assert arm.call("POST", f"{slot}/resetSlotConfig").status_code == 200
    assert arm.settings(slot) == {"MOVES": "s", "STAYS": "s"}


def test_a_swap_after_a_preview_gives_each_slot_its_own_sticky_settings(arm: Arm) -> None:
    site = arm.site(app_settings={"STAYS": "p"})
    slot = arm.slot(site, app_settings={"STAYS": "s"})
    names = {"properties": {"appSettingNames": ["STAYS"]}}
    arm.call("PUT", f"{site}/config/slotConfigNames", names)
    arm.call("POST", f"{slot}/applySlotConfig", SWAP)
    swap(arm, slot)
    assert (arm.settings(site), arm.settings(slot)) == ({"STAYS": "p"}, {"STAYS": "s"})


def test_a_slot_can_not_be_swapped_with_itself_or_with_nothing(arm: Arm) -> None:
    slot = arm.slot(arm.site())
    for body in ({"targetSlot": "staging"}, {}):
        assert arm.call("POST", f"{slot}/slotsswap", body).status_code == 400
    assert arm.call("POST", f"{slot}/slotsswap", {"targetSlot": "none"}).status_code == 404


def test_a_deleted_slot_is_404(arm: Arm) -> None:
    site = arm.site()
    slot = arm.slot(site)
    assert arm.call("DELETE", slot).status_code == 200
    assert arm.get(f"{site}/slots")["value"] == []
