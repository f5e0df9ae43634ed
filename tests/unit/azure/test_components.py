"""Application Insights components with names of any characters."""

from __future__ import annotations

import shlex
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from azext_otelembed.azure import components
from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.components import Component
from azext_otelembed.errors import InvalidInput, NotFound
from azext_otelembed.webapp import setting
from tests.unit.azure.wire import ENDPOINT, Reply, Wire, session_on
from tests.unit.samples import SITE

GROUP = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Insights"


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("a?b#c%2f", f"{GROUP}/components/a%3Fb%23c%252f"),
        ("shop (prod)", f"{GROUP}/components/shop%20%28prod%29"),
        (f"{GROUP}/components/a?b#c", f"{GROUP}/components/a%3Fb%23c"),
    ],
)
def test_a_name_is_a_part_of_the_path_alone(given: str, asked: str) -> None:
    wire = Wire(lambda _: Reply(status=404))
    with pytest.raises(NotFound, match="was not found"):
        components.find(Arm(session_on(wire)), "s", "g", given)
    addresses = {address for address, _ in wire.asked}
    assert addresses == {f"{ENDPOINT}{asked}?api-version={components.API_VERSION}"}


def test_a_groups_name_may_have_any_letters() -> None:
    wire = Wire(lambda _: Reply(b'{"value": []}'))
    assert components.find_all(Arm(session_on(wire)), "s", "größe-(prod)") == []
    ((address, _),) = wire.asked
    assert f"/resourceGroups/{quote('größe-(prod)')}/providers/" in address


def test_a_value_of_a_query_is_a_value_alone() -> None:
    wire = Wire(lambda _: Reply(b'{"value": []}'))
    Arm(session_on(wire)).get_all("Roles", "/roles", "1", **{"$filter": "assignedTo('a&b #1')"})
    ((address, _),) = wire.asked
    asked = parse_qs(urlsplit(address).query, strict_parsing=True)
    assert asked == {"api-version": ["1"], "$filter": ["assignedTo('a&b #1')"]}


@pytest.mark.parametrize("name", ["shop (prod)", "Ada's"])
def test_the_option_that_names_one_is_quoted_for_a_shell(name: str) -> None:
    both = [Component("/1", name, "c"), Component("/2", "b", "c")]
    with pytest.raises(InvalidInput) as raised:
        setting._only(both, SITE)
    assert f"`--app-insights {shlex.quote(name)}`" in str(raised.value.recommendation)
