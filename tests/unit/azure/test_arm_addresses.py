"""A token for Azure Resource Manager reaches its own hosts and no other one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from azext_otelembed import deadline
from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.arm_policies import is_arm_address
from azext_otelembed.azure.session import Session
from azext_otelembed.azure.sites import SiteClient, SiteId
from azext_otelembed.errors import AzureFailed
from tests.unit.azure.wire import ENDPOINT, Reply, Wire, session_on

SHOP = SiteId("s", "g", "shop")
ELSEWHERE = (
    "https://evil.example/next",
    "https://management.azure.com.evil.example/next",
    "https://evilmanagement.azure.com/next",
    "https://a.b.management.azure.com/next",
    "https://management.azure.com:8443/next",
    "http://management.azure.com/next",
    "https://management.azure.com@evil.example/next",
    "https://user:password@management.azure.com/next",
    "https://evil.example\\@management.azure.com/next",
    "https://evil.example\\.management.azure.com/next",
    "https://evil.example#@management.azure.com/next",
    "https://evil.example?.management.azure.com/next",
    "https://[::1/next",
    "https://management.azure.com:port/next",
    "https:///next",
    "evil.example/next",
    "file:///etc/passwd",
)


@pytest.mark.parametrize(
    ("endpoint", "address"),
    [
        (ENDPOINT, f"{ENDPOINT}/a?b=c"),
        (ENDPOINT, "https://MANAGEMENT.azure.com:443/a"),
        (ENDPOINT, "https://brazilsouth.management.azure.com/a"),
        (ENDPOINT, "https://centraluseuap.management.azure.com/a"),
        ("https://westeurope.management.azure.com", f"{ENDPOINT}/a"),
        ("https://westeurope.management.azure.com", "https://westus2.management.azure.com/a"),
        ("https://management.chinacloudapi.cn", "https://chinaeast2.management.chinacloudapi.cn/a"),
        ("https://management.usgovcloudapi.net", "https://a.management.usgovcloudapi.net/a"),
        ("https://localhost:8443", "https://localhost:8443/a"),
    ],
)
def test_general_and_regional_hosts_of_a_cloud_are_azure_resource_managers(
    endpoint: str, address: str
) -> None:
    assert is_arm_address(endpoint, address)


@pytest.mark.parametrize(
    ("endpoint", "address"),
    [
        *((ENDPOINT, address) for address in ELSEWHERE),
        ("https://localhost:8443", "https://localhost:8444/a"),
        ("https://management.azure.com", "https://management.chinacloudapi.cn/a"),
        ("https://westeurope.management.azure.com", "https://azure.com/a"),
        ("https://arm.corp.example", "https://corp.example/a"),
        ("https://arm.corp.example", "https://other.corp.example/a"),
    ],
)
def test_other_hosts_are_not(endpoint: str, address: str) -> None:
    assert not is_arm_address(endpoint, address)


def listed(address: str) -> Reply:
    return Reply(json.dumps({"value": [], "nextLink": address}).encode())


def started(header: str) -> Callable[[str], Reply]:
    more = {"Content-Length": "0", "Retry-After": "0"}
    return lambda address: Reply(b"", 202, {header: address, **more})


def redirected(address: str) -> Reply:
    return Reply(b"", 307, {"Location": address, "Content-Length": "0"})


def swap(session: Session) -> None:
    list(Arm(session).start("The swap", "/swap", "1", {}))


WAYS: dict[str, tuple[Callable[[str], Reply], Callable[[Session], object]]] = {
    "nextLink": (listed, lambda one: Arm(one).get_all("The list", "/list", "1")),
    "nextLink of azure-mgmt-web": (listed, lambda one: SiteClient(one, SHOP).containers()),
    "Azure-AsyncOperation": (started("Azure-AsyncOperation"), swap),
    "Location": (started("Location"), swap),
    "a redirect": (redirected, lambda one: Arm(one).get("The thing", "/thing", "1")),
    "a redirect of azure-mgmt-web": (redirected, lambda one: SiteClient(one, SHOP).site()),
}


@pytest.fixture(autouse=True)
def _short_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline, "POLL_INTERVAL", 0.01)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("address", ELSEWHERE)
def test_no_request_leaves_for_another_host(way: str, address: str) -> None:
    first, call = WAYS[way]
    wire = Wire(lambda _: first(address))
    with pytest.raises(AzureFailed) as refusal:
        call(session_on(wire))
    # An address without a host is one of Azure Resource Manager, whose answer is the same.
    assert all(asked.startswith(f"{ENDPOINT}/") for asked, _ in wire.asked), wire.asked
    assert refusal.value.message.startswith(("The ", "Web App 'shop'", "Site containers of"))
    assert "Azure" in refusal.value.message


@pytest.mark.parametrize("way", WAYS)
def test_a_regional_host_is_asked_with_the_token(way: str) -> None:
    first, call = WAYS[way]
    regional = "https://westus2.management.azure.com/next"
    last = json.dumps({"value": [], "id": "/x", "properties": {}}).encode()
    wire = Wire(lambda asked: Reply(last) if asked.startswith(regional) else first(regional))
    call(session_on(wire))
    assert [authorization for _, authorization in wire.asked] == ["Bearer the-token"] * 2


@pytest.mark.parametrize("status", [206, 300, 303, 304, 307, 308])
def test_a_status_without_the_whole_answer_is_no_success(status: int) -> None:
    """A redirect of a POST isn't followed: the operation was not started."""
    more = {"Location": f"{ENDPOINT}/elsewhere", "Content-Length": "0"}
    wire = Wire(lambda _: Reply(b"", status, more))
    for call in (
        lambda arm: list(arm.start("The swap", "/swap", "1", {})),
        lambda arm: arm.post("The swap", "/swap", "1", {}),
    ):
        with pytest.raises(AzureFailed, match="The swap"):
            call(Arm(session_on(wire)))


@pytest.mark.parametrize("way", ["nextLink", "nextLink of azure-mgmt-web"])
def test_a_list_that_leads_back_to_one_of_its_pages_ends(way: str) -> None:
    _, call = WAYS[way]
    wire = Wire(lambda _: listed(f"{ENDPOINT}/page?api-version=2024-11-01"))
    with pytest.raises(AzureFailed, match="the same page again"):
        call(session_on(wire))
    assert len(wire.asked) <= 3


def test_another_cloud_has_its_own_hosts() -> None:
    china = "https://management.chinacloudapi.cn"
    wire = Wire(lambda _: listed("https://westeurope.management.azure.com/next"))
    session = replace(session_on(wire), arm_endpoint=china, arm_scope=f"{china}/.default")
    with pytest.raises(AzureFailed, match="The list"):
        Arm(session).get_all("The list", "/list", "1")
    assert [address.partition("/list")[0] for address, _ in wire.asked] == [china]
