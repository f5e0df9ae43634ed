"""The connection string of a site and its component: completed, refused, or a problem."""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx
import pytest

from azext_otelembed.collector.config import ConfigFile, default, load, read
from azext_otelembed.console import Console
from azext_otelembed.errors import InvalidInput, Refused
from azext_otelembed.inputs import embed_options
from azext_otelembed.release.status import status
from localazure.client import ROOT
from tests.e2e.support import COLLECTOR, SETTING, Cloud, Site, eventually
from tests.exporter_strings import EXITS, KEY
from tests.release.support import Hand, MakeSite, id_of, writes

ZERO = f"InstrumentationKey={uuid.UUID(int=0)};IngestionEndpoint=https://localhost:1/"
OWN_CONFIG = b"""\
receivers: {otlp: {protocols: {http: {endpoint: localhost:4318}}}}
exporters: {otlphttp: {endpoint: "http://localhost:1"}}
service: {pipelines: {traces: {receivers: [otlp], exporters: [otlphttp]}}}
"""


def told(hand: Hand, site: Site, **given: Any) -> dict[str, Any]:
    """The result of `az otelembed status --check`."""
    embed = embed_options(COLLECTOR, load(None))
    return status(
        hand.session,
        id_of(site),
        options=embed,
        app_insights=given.get("app_insights"),
        health_path="/",
        console=Console(stream=io.StringIO()),
    )


def of_setting(found: dict[str, Any]) -> list[str]:
    """The problems that aren't about the image."""
    return [one for one in found["problems"] if one != "the image has no collector"]


@pytest.fixture(scope="module")
def plain(cloud: Cloud) -> Site:
    """A site that isn't embedded; tests change its setting."""
    return cloud.make_site()


def connection(site: Site) -> dict[str, str]:
    """The parts of its component's connection string."""
    text = site.cloud.connection_string(site.component or "")
    return dict(part.split("=", 1) for part in text.split(";"))


# What the exporter reads


@pytest.mark.parametrize("number", range(6))
def test_status_finds_what_ends_the_collector_and_deploy_removes_it_or_refuses(
    plain: Site, hand: Hand, number: int
) -> None:
    parts = connection(plain)
    text = EXITS[number].replace(KEY, parts["InstrumentationKey"])
    plain.set(**{SETTING: text.replace("https://localhost:1/", parts["IngestionEndpoint"])})
    found = told(hand, plain)
    (problem,) = of_setting(found)
    assert "the collector exits at start" in problem
    assert found["setting"]["matches"] is False
    if "InstrumentationKey=" not in text.replace("instrumentationkey", "InstrumentationKey"):
        with pytest.raises(InvalidInput, match="has no InstrumentationKey"):
            hand.deploy(plain, dry_run=True)
        return
    ended = hand.deploy(plain, dry_run=True)
    note = ended.result["setting"]["note"]
    assert note.startswith("normalised: ")
    assert f"({note})" in ended.said
    assert parts["InstrumentationKey"] not in ended.said
    assert f"`az otelembed deploy {id_of(plain).arguments}` sets it in order" in problem


def test_a_masked_change_tells_what_differs(plain: Site, hand: Hand) -> None:
    text = plain.cloud.connection_string(plain.component or "")
    plain.set(**{SETTING: f"{text};"})
    ended = hand.deploy(plain, dry_run=True)
    change = ended.result["changes"][0]
    assert change["before"] == change["after"]
    assert ended.result["setting"]["note"] == "normalised: trailing ';' removed"
    plain.set(**{SETTING: text.replace("/;", "/s3cret;", 1)})
    ended = hand.deploy(plain, dry_run=True, app_insights=plain.component)
    assert ended.result["setting"]["note"] == "the value of IngestionEndpoint differs"
    assert "s3cret" not in ended.said


def test_the_key_of_examples_is_refused(plain: Site, hand: Hand) -> None:
    plain.set(**{SETTING: ZERO})
    assert any("all zeros" in one for one in told(hand, plain)["problems"])
    for given in ({}, {"connection_string": ZERO}):
        with pytest.raises(InvalidInput, match="all zeros"):
            hand.deploy(plain, **given)


# Its component


def test_a_key_of_no_visible_component_is_a_problem(make_site: MakeSite, hand: Hand) -> None:
    unknown = f"InstrumentationKey={KEY};IngestionEndpoint=https://localhost:1/"
    site = make_site(component=False, settings={SETTING: unknown}, wait=False)
    found = told(hand, site)
    assert found["setting"]["matches"] is False
    (problem,) = (one for one in found["problems"] if SETTING in one)
    assert "the key of no Application Insights component that you can see" in problem
    ended = hand.deploy(site, dry_run=True)
    assert ended.result["problems"] == [problem]
    assert f"otelembed: telemetry may not arrive: {problem}" in ended.said


def test_components_that_cannot_be_listed_leave_it_open(
    plain: Site, hand: Hand, cloud: Cloud
) -> None:
    plain.set(**{SETTING: f"InstrumentationKey={KEY}"})
    with cloud.fault(service="arm", path="Microsoft.Insights/components", status=403, times=0):
        found = told(hand, plain)
        assert found["setting"]["matches"] is None
        assert "can't be read" in found["setting"]["note"]
        ended = hand.deploy(plain, dry_run=True)
    assert ended.result["problems"] == []
    assert [one["what"] for one in ended.result["changes"]] == ["image"]


@pytest.mark.parametrize("rest", ["", ";EndpointSuffix=ai.contoso.com"])
def test_a_string_without_an_endpoint_is_completed(plain: Site, hand: Hand, rest: str) -> None:
    parts = connection(plain)
    text = f"InstrumentationKey={parts['InstrumentationKey']}{rest}"
    plain.set(**{SETTING: text})
    (problem,) = of_setting(told(hand, plain))
    assert "https://dc.services.visualstudio.com/" in problem
    endpoint = "https://dc.ai.contoso.com/" if rest else parts["IngestionEndpoint"]
    for given in ({}, {"connection_string": text}):
        result = hand.deploy(plain, dry_run=True, **given).result
        assert f"IngestionEndpoint={endpoint}" in result["changes"][0]["after"]
        assert result["setting"]["note"] == "normalised: IngestionEndpoint added"


@pytest.mark.thorough
def test_telemetry_arrives_at_the_endpoint_of_its_own_that_a_component_has(
    make_site: MakeSite, hand: Hand, cloud: Cloud
) -> None:
    site = make_site(component=False)
    name = f"{site.name}-insights"
    made = cloud.local.add_component({"name": name, "group": site.group, "own_endpoint": True})
    ended = hand.deploy(site, connection_string=f"InstrumentationKey={made['instrumentation_key']}")
    assert ended.exit_status == 0, ended
    assert f"/at/{name}/" in site.settings()[SETTING]
    assert site.get("/spans?n=1").status_code == 200
    until_telemetry(cloud, made["instrumentation_key"])
    assert told(hand, site)["problems"] == []


REFUSING: dict[str, tuple[object, int, str, str]] = {
    "disable_local_auth": (True, 401, "DisableLocalAuth", "properties.DisableLocalAuth=false"),
    "public_ingestion": (
        *("Disabled", 403, "publicNetworkAccessForIngestion is Disabled"),
        "properties.publicNetworkAccessForIngestion=Enabled",
    ),
    "over_quota": (True, 439, "has reached its daily cap", "component billing update"),
    "workspace_state": ("OverQuota", 439, "has reached its daily cap", "workspace update"),
}


@pytest.fixture
def refusing(plain: Site, request: pytest.FixtureRequest) -> Iterator[str]:
    """Its component refuses telemetry for the time of a test: the field that says so."""
    before = {"disable_local_auth": False, "public_ingestion": "Enabled", "over_quota": False}
    change = partial(plain.cloud.local.change_component, plain.component or "")
    change(**{request.param: REFUSING[request.param][0]})
    yield request.param
    change(**before, workspace_state="RespectQuota")


@pytest.mark.parametrize("refusing", REFUSING, indirect=True)
def test_a_component_that_would_refuse_telemetry_is_named_before_anything_changes(
    plain: Site, hand: Hand, cloud: Cloud, refusing: str
) -> None:
    _, answer, reason, fix = REFUSING[refusing]
    plain.set(**{SETTING: cloud.connection_string(plain.component or "")})
    assert track(cloud, connection(plain)["InstrumentationKey"]) == answer
    before = cloud.mark()
    if answer == 439:
        ended = hand.deploy(plain, dry_run=True)
        (problem,) = ended.result["problems"]
    else:
        with pytest.raises(Refused) as refused:
            hand.deploy(plain)
        problem = f"{refused.value.message} {refused.value.recommendation}"
    assert reason in problem
    assert fix in problem
    assert str(plain.component) in problem
    assert writes(cloud.requests(before)) == []
    assert problem in told(hand, plain)["notes" if answer == 401 else "problems"]
    with cloud.fault(service="arm", path="quotastatus", status=403, times=0):
        assert "The daily cap was not checked" in str(told(hand, plain)["notes"])


def track(cloud: Cloud, key: str) -> int:
    """The status that the ingestion answers for an envelope with this key."""
    envelope = {"iKey": key, "time": "2026-11-27T00:00:00Z", "data": {"baseType": "EventData"}}
    with cloud.local.http() as http:
        answer: httpx.Response = http.post(f"{cloud.local.insights}/v2.1/track", json=[envelope])
    assert answer.json()["itemsAccepted"] == 0
    return answer.status_code


@pytest.mark.thorough
def test_local_authentication_is_a_problem_of_the_default_configuration_only(
    make_site: MakeSite, hand: Hand, cloud: Cloud
) -> None:
    site = make_site()
    assert hand.deploy(site).exit_status == 0
    cloud.local.change_component(site.component or "", disable_local_auth=True)
    (problem,) = told(hand, site)["problems"]
    assert "DisableLocalAuth" in problem
    again = hand.deploy(site, app_insights=site.component)
    assert (again.exit_status, again.result["changed"]) == (0, False), again
    assert again.result["problems"] == [problem]
    assert f"telemetry may not arrive: {problem}" in again.said
    ended = hand.deploy(site, collector_config=OWN_CONFIG)
    assert ended.exit_status == 0, ended
    assert ended.result["problems"] == []
    found = told(hand, site)
    assert found["problems"] == []
    assert problem in found["notes"]


@pytest.mark.parametrize("refusing", ["disable_local_auth"], indirect=True)
def test_an_exporter_that_signs_in_is_not_refused(
    plain: Site, hand: Hand, cloud: Cloud, refusing: str
) -> None:
    plain.set(**{SETTING: cloud.connection_string(plain.component or "")})
    more = (ROOT / "docs" / "examples" / "entra-id-exporter.yml").read_bytes()
    files = [ConfigFile("default.yml", default()), ConfigFile("more.yml", more)]
    ended = hand.deploy(plain, collector_config=read(files).data, dry_run=True)
    assert ended.result["problems"] == []


@pytest.mark.parametrize("refusing", ["public_ingestion"], indirect=True)
def test_a_site_in_a_virtual_network_may_send_over_a_private_link(
    plain: Site, hand: Hand, cloud: Cloud, refusing: str
) -> None:
    group = plain.id.partition("/providers/")[0]
    subnet = f"{group}/providers/Microsoft.Network/virtualNetworks/v/subnets/s"
    for network in (subnet, None):
        cloud.arm("PATCH", plain.id, {"properties": {"virtualNetworkSubnetId": network}})
        if network:
            assert hand.deploy(plain, dry_run=True).result["problems"] == []


def until_telemetry(cloud: Cloud, key: str) -> None:
    """Waits until an envelope with this key has arrived."""
    eventually(lambda: any(one["iKey"] == key for one in cloud.local.telemetry()))


# App Configuration references


def assign(cloud: Cloud, scope: str, principal: str) -> None:
    """Lets a principal read the keys of an App Configuration store."""
    roles = f"/subscriptions/{cloud.local.subscription}/providers/Microsoft.Authorization"
    reader = f"{roles}/roleDefinitions/516239f1-63e1-4d78-a4de-a74fb236a071"
    properties = {"principalId": principal, "roleDefinitionId": reader}
    path = f"{scope}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid4()}"
    cloud.arm("PUT", path, {"properties": {**properties, "principalType": "ServicePrincipal"}})


def reference(store: str) -> str:
    return f"@Microsoft.AppConfiguration(Endpoint=https://{store}.azconfig.io; Key=telemetry)"


def test_an_app_configuration_reference_is_kept_and_resolved(
    make_site: MakeSite, hand: Hand, cloud: Cloud
) -> None:
    site = make_site()
    name = f"store-{site.name}"
    text = cloud.connection_string(site.component or "")
    store = cloud.local.add_store(
        {"name": name, "group": site.group, "values": {"telemetry": text}}
    )
    principal = cloud.arm("GET", site.id)["identity"]["principalId"]
    assign(cloud, store["id"], principal)
    site.set(**{SETTING: reference(name)})
    ended = hand.deploy(site)
    assert ended.exit_status == 0, ended
    assert ended.result["setting"] == {
        "name": SETTING,
        "value": reference(name),
        "source": "already set",
        "note": None,
    }
    assert site.settings()[SETTING] == reference(name)
    assert site.get("/spans?n=1").status_code == 200
    until_telemetry(cloud, connection(site)["InstrumentationKey"])
    found = told(hand, site)
    assert found["problems"] == []
    assert "App Configuration reference" in found["setting"]["note"]


@pytest.mark.parametrize("kind", ["App Configuration", "Key Vault"])
def test_a_kept_reference_that_is_not_resolved_is_a_problem(
    plain: Site, hand: Hand, cloud: Cloud, kind: str
) -> None:
    vault = "@Microsoft.KeyVault(SecretUri=https://none.vault.azure.net/secrets/ai)"
    plain.set(**{SETTING: vault if kind == "Key Vault" else reference("none")})
    path, body = "/configreferences/", {"properties": {"status": "MSINotEnabled"}}
    with cloud.fault(service="arm", path=path, status=200, body=body, times=0):
        found, ended = told(hand, plain), hand.deploy(plain, dry_run=True)
    (problem,) = of_setting(found)
    assert f"{kind} reference that App Service can't resolve: MSINotEnabled" in problem
    assert "az webapp identity assign" in problem
    assert ended.result["problems"] == [problem]
