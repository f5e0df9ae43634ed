"""Which rows of a component are a site's, what they say, and the query for them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from azext_otelembed.azure.sites import SiteId
from azext_otelembed.collector.config import default
from azext_otelembed.errors import AzureFailed
from azext_otelembed.telemetry.arrived import Arrived, Group, Sender, arrived, read_groups
from azext_otelembed.telemetry.logs_query import COLUMNS, kusto_text, logs_query
from localazure.insights import kql, tables

ASKED = datetime(2026, 11, 27, 12, 0, 0, tzinfo=timezone.utc)
RECIPE, OTHER = "f2a138f9c5c8", "0123456789ab"
HOST, SLOT_HOST = "shop.azurewebsites.net", "shop-staging.azurewebsites.net"
SHOP = Sender(SiteId("s", "g", "shop"), HOST, RECIPE)


def group(
    rows: int = 1,
    kind: str = "requests",
    recipe: str = RECIPE,
    host: str = HOST,
    role: str = "checkout",
    ago: float = 12,
    sdk: str = "",
) -> Group:
    return Group(kind, role, "i1", recipe, host, rows, ASKED - timedelta(seconds=ago), sdk)


def seen(*groups: Group, sender: Sender = SHOP) -> Arrived:
    return arrived(sender, 900, ASKED, groups)


def test_the_rows_are_told_by_table_with_the_age_of_the_newest_and_their_release() -> None:
    found = seen(
        group(8, ago=12),
        group(3, "dependencies", ago=40),
        group(12, "logs"),
        group(1, "exceptions"),
    )
    words = "8 requests, 3 dependencies, 12 logs, 1 exception, the last 12 s ago, from this release"
    assert str(found) == words
    assert (found.rows, found.proof) == (24, True)
    assert found.by_instance == {"i1": 24}
    assert found.by_recipe == {RECIPE: 24}


@pytest.mark.parametrize(
    ("groups", "words", "proof"),
    [
        ([], "no rows in the last 15 min", False),
        (
            [group(2, recipe=OTHER)],
            f"2 requests, the last 12 s ago, none from this release ({RECIPE}): {OTHER}",
            False,
        ),
        (
            [group(2, recipe=OTHER), group(3)],
            "5 requests, the last 12 s ago, 3 of them from this release",
            True,
        ),
        ([group(2, recipe="")], "2 requests, the last 12 s ago, which name no release", True),
        (
            [group(2, recipe=""), group(1, recipe=OTHER)],
            f"3 requests, the last 12 s ago, none from this release ({RECIPE}): {OTHER}",
            False,
        ),
        (
            [group(4, host=SLOT_HOST)],
            f"no rows in the last 15 min; 4 of the same recipe name the host {SLOT_HOST}",
            None,
        ),
    ],
)
def test_rows_of_another_release_prove_nothing(
    groups: list[Group], words: str, proof: bool | None
) -> None:
    found = seen(*groups)
    assert (str(found), found.proof) == (words, proof)


@pytest.mark.parametrize(
    ("one", "mine"),
    [
        (group(), True),
        (group(host=HOST.upper(), recipe="", role="anything"), True),
        (group(host=SLOT_HOST), False),  # the same image in another slot
        (group(host="other.azurewebsites.net"), False),
        (group(host="other.azurewebsites.net", role="shop"), False),  # a service.name that is shop
        (group(host=""), True),  # by its recipe
        (group(host="", recipe="", role="Shop"), True),
        (group(host="", recipe="", role="store.shop"), True),  # with a service.namespace
        (group(host="", recipe="", role="workshop"), False),
        (group(host="", recipe="", role="checkout"), False),
    ],
)
def test_the_host_name_in_the_rows_decides_whose_they_are(one: Group, mine: bool) -> None:
    assert SHOP.sends(one) is mine


def test_a_swapped_container_keeps_the_host_name_of_its_former_slot() -> None:
    swapped = Sender(SHOP.site, HOST, RECIPE, SLOT_HOST)
    assert swapped.sends(group(host=SLOT_HOST))
    assert not swapped.sends(group(host=SLOT_HOST, recipe=OTHER)), "the slot's own rows"


DIRECT = "dotnet:2.22.0-997"
OTELC = "otelc-v0.150.0-lin-amd64"
CUSTOM = b"""
receivers: {otlp: {protocols: {grpc: {endpoint: localhost:4317}}}}
exporters: {azuremonitor: {}}
service: {pipelines: {traces: {receivers: [otlp], exporters: [azuremonitor]}}}
"""
"""Sends with the azuremonitor exporter, and adds no attribute."""
STAGING = Sender(SiteId("s", "g", "shop", "staging"), SLOT_HOST, RECIPE)


@pytest.mark.parametrize(
    ("sender", "config", "sdk", "proof"),
    [
        (SHOP, None, DIRECT, True),  # nothing is known of its collector
        (SHOP, default(), "", False),  # the default configuration names the recipe in each row
        (SHOP, default(), DIRECT, False),
        (SHOP, CUSTOM, "", True),  # a release of the exporter that names no version
        (SHOP, CUSTOM, OTELC, True),
        (SHOP, CUSTOM, DIRECT, False),  # an SDK of Application Insights in the app
        (SHOP, CUSTOM.replace(b"azuremonitor", b"otlphttp"), "", True),
        (replace(SHOP, recipe=""), default(), OTELC, True),  # by its own Dockerfile
        (replace(SHOP, recipe=""), default(), DIRECT, False),
        (STAGING, CUSTOM, OTELC, None),  # production has the same role name
        (STAGING, CUSTOM, DIRECT, False),
        (STAGING, default(), OTELC, False),
    ],
)
def test_rows_without_a_recipe_are_evidence_only_if_the_collector_may_have_sent_them(
    sender: Sender, config: bytes | None, sdk: str, proof: bool | None
) -> None:
    row = group(5, recipe="", host="", role="shop", sdk=sdk)
    found = seen(row, sender=sender.with_config(config))
    assert found.proof is proof, found
    past = "don't come from its collector" in str(found)
    assert past is (proof is False), str(found)
    mixed = seen(row, group(host=sender.host), sender=sender.with_config(config))
    assert mixed.proof is True


def test_a_row_of_a_slot_that_names_its_host_is_its_own() -> None:
    row = group(recipe="", host=SLOT_HOST, sdk=OTELC)
    assert seen(row, sender=STAGING.with_config(CUSTOM)).proof is True


def test_a_recipe_is_cut_to_its_first_digits() -> None:
    site = SHOP.site
    assert Sender.of(site, HOST, "sha256:" + RECIPE + "0" * 52).recipe == RECIPE
    assert Sender.of(site, HOST, None).recipe == ""


def test_a_clock_that_is_ahead_gives_no_negative_age() -> None:
    assert "the last 0 s ago" in str(seen(group(ago=-30)))


@pytest.mark.parametrize(
    "name", ["shop", 'a"b', "a\\b", "a'b", "a\nb", "a|b", "ünïcode", 'x" or 1 == 1 | take 1 //']
)
def test_a_name_in_a_query_is_a_string_whatever_its_characters(name: str) -> None:
    row = {"name": name}
    found = kql.run(
        f"rows | where name == {kusto_text(name)}",
        lambda _: kql.Table({"name": "string"}, [row, {"name": "other"}]),
    )
    assert found.rows == [row]
    assert "\n" not in kusto_text(name)


def test_the_query_is_one_that_the_double_understands() -> None:
    text = logs_query("shop", HOST, RECIPE, 900)
    found = kql.run(text, lambda name: kql.Table(tables.TABLES[name], []))
    assert tuple(found.columns) == COLUMNS
    assert len(text) < 1500, "it is sent in an address"


def answer(rows: Any, names: tuple[str, ...] = COLUMNS) -> dict[str, Any]:
    columns = [{"name": name, "type": "string"} for name in names]
    return {"tables": [{"name": "PrimaryResult", "columns": columns, "rows": rows}]}


GOOD = [
    "request",
    "r",
    "i",
    "",
    None,
    "",
    3,
    "2026-11-27T11:59:48.1234567Z",
    "2026-11-27T12:00:00Z",
]


def test_an_answer_is_read_with_seven_decimals_and_empty_members() -> None:
    groups, asked = read_groups("it", answer([GOOD]))
    assert asked == ASKED
    assert groups[0].newest.isoformat() == "2026-11-27T11:59:48.123456+00:00"
    assert (groups[0].kind, groups[0].host, groups[0].rows) == ("requests", "", 3)


def test_the_last_time_that_kusto_knows_is_a_time() -> None:
    groups, _ = read_groups("it", answer([[*GOOD[:7], "9999-12-31T23:59:59.9999999Z", GOOD[8]]]))
    assert groups[0].newest.isoformat() == "9999-12-31T23:59:59.999999+00:00"


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"tables": None},
        {"tables": [{"columns": None}]},
        answer(None),
        answer([None]),
        answer([GOOD[:3]]),
        answer([[*GOOD[:6], "3", *GOOD[7:]]]),
        answer([[*GOOD[:7], "yesterday", GOOD[8]]]),
        answer([[*GOOD[:7], "2026-13-27T11:59:48Z", GOOD[8]]]),
        answer([GOOD], ("itemType",)),
    ],
)
def test_another_answer_is_an_error_of_azure(found: dict[str, Any]) -> None:
    with pytest.raises(AzureFailed, match="it"):
        read_groups("it", found)
