from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from azext_otelembed.azure.arm import Arm
from azext_otelembed.errors import NotFound, RegistryFailed, Unauthorized
from azext_otelembed.registry import transfer
from azext_otelembed.registry.auth import AcrExchange, Basic
from azext_otelembed.registry.scope import pull, push
from tests.registry.conftest import PULLER, PUSHER, SHOP, Registries, blob
from tests.release.support import session_of


def refuse_token(registries: Registries, times: int = 1) -> None:
    challenge = f'Bearer realm="https://{registries.shop}/oauth2/token",service="{registries.shop}"'
    fault = {"service": "acr", "path": "/manifests/", "status": 401, "times": times}
    registries.azure.fault(**fault, headers={"WWW-Authenticate": challenge})


def test_an_azure_registry_is_asked_for_one_token_and_refuses_nothing(
    registries: Registries, name: str
) -> None:
    digest, data = blob(100)
    client = registries.owner()
    client.declare_scopes(push(name), pull("otelembed/collector"))
    mark = registries.azure.mark()
    transfer.upload(client, name, digest, data)
    client.has_blob("otelembed/collector", digest)
    client.get_blob(name, digest)
    records = registries.since(mark)
    assert [r["path"] for r in records][:2] == ["/oauth2/exchange", "/oauth2/token"]
    assert len([r for r in records if r["path"].startswith("/oauth2")]) == 2
    assert 401 not in [r["status"] for r in records]


def test_a_public_registry_names_its_token_server_once(registries: Registries, name: str) -> None:
    client = registries.anonymous()
    mark = registries.azure.mark()
    for _ in range(3):
        assert client.head_manifest(name, "1.0") is None
    first, second, *rest = registries.since(mark)
    assert (first["status"], first["authorization"]) == (401, False)
    assert (second["method"], second["status"]) == ("GET", 200)
    assert [r["status"] for r in rest] == [404, 404, 404]


def test_a_token_is_replaced_before_it_expires(registries: Registries, name: str) -> None:
    # Long enough for a loaded machine to use a new token in time. From 3.6 s on it is within the
    # client's margin of a tenth, and still good.
    registries.azure.token_lifetime(4)
    try:
        client = registries.owner()
        for _ in range(2):
            assert client.head_manifest(name, "1.0") is None
        mark = registries.azure.mark()
        time.sleep(3.65)
        assert client.head_manifest(name, "1.0") is None
    finally:
        registries.azure.token_lifetime(None)
    records = registries.since(mark)
    assert 401 not in [r["status"] for r in records]
    assert "/oauth2/token" in [r["path"] for r in records]


def test_a_withdrawn_token_is_replaced_once(registries: Registries, name: str) -> None:
    client = registries.owner()
    client.head_manifest(name, "1.0")
    refuse_token(registries)
    mark = registries.azure.mark()
    assert client.head_manifest(name, "1.0") is None
    asked = [f"{r['method']} {r['path']} {r['status']}" for r in registries.since(mark)]
    assert asked == [
        f"HEAD /v2/{name}/manifests/1.0 401",
        "POST /oauth2/exchange 200",
        "POST /oauth2/token 200",
        f"HEAD /v2/{name}/manifests/1.0 404",
    ]


def test_a_registry_that_refuses_every_token_is_asked_twice(
    registries: Registries, name: str
) -> None:
    client = registries.owner()
    refuse_token(registries, times=0)
    mark = registries.azure.mark()
    with pytest.raises(Unauthorized, match=f"pull of '{name}'"):
        client.head_manifest(name, "1.0")
    assert len([r for r in registries.since(mark) if "/manifests/" in r["path"]]) == 2


def test_who_may_only_pull_is_told_what_is_missing(registries: Registries, name: str) -> None:
    client = registries.principal(PULLER)
    client.declare_scopes(push(name))
    assert client.head_manifest(name, "1.0") is None
    digest, data = blob(10)
    with pytest.raises(Unauthorized) as refusal:
        transfer.upload(client, name, digest, data)
    assert registries.shop in refusal.value.message
    assert f"push to '{name}'" in refusal.value.message
    assert "AcrPush" in str(refusal.value.recommendation)


def test_who_has_no_right_at_all_is_told_at_the_exchange(registries: Registries, name: str) -> None:
    unassigned = "4e915e00-0000-4000-8000-00000000000f"
    registries.azure.add_principal(unassigned, "not-a-secret")
    with pytest.raises(Unauthorized, match="doesn't accept the Azure sign-in"):
        registries.principal(unassigned).head_manifest(name, "1.0")


def test_an_admin_user_signs_in_with_a_password(registries: Registries, name: str) -> None:
    client = registries.client(registries.shop, _admin(registries))
    digest, data = blob(10)
    transfer.upload(client, name, digest, data)
    assert client.get_blob(name, digest) == data


def test_a_wrong_password_is_named_but_not_shown(registries: Registries, name: str) -> None:
    client = registries.client(registries.shop, Basic(SHOP, "hunter-two"))
    with pytest.raises(Unauthorized) as refusal:
        client.head_manifest(name, "1.0")
    assert registries.shop in refusal.value.message
    assert "hunter-two" not in refusal.value.message + str(refusal.value.recommendation)
    assert "hunter-two" not in repr(Basic(SHOP, "hunter-two"))


def test_a_public_registry_has_nothing_to_exchange(registries: Registries, name: str) -> None:
    client = registries.client(registries.hub, AcrExchange(registries.azure.token))
    with pytest.raises((RegistryFailed, Unauthorized), match=registries.hub):
        client.head_manifest(name, "1.0")


def exchanges(registries: Registries, mark: int) -> list[int]:
    """The statuses of the exchanges since `mark`."""
    found = registries.since(mark)
    return [r["status"] for r in found if r["path"] == "/oauth2/exchange"]


def unavailable() -> str:
    raise Unauthorized("There is no token for 'https://acr.example': AADSTS500011.", "Get one.")


def test_a_token_that_the_registry_accepts_needs_no_fallback(
    registries: Registries, name: str
) -> None:
    mark = registries.azure.mark()
    token = registries.azure.token("https://containerregistry.azure.net")
    client = registries.client(registries.shop, AcrExchange(lambda: token, fallback=unavailable))
    assert client.head_manifest(name, "1.0") is None
    assert exchanges(registries, mark) == [200]
    assert not client.http.tokens.fell_back


def test_a_token_that_the_registry_refuses_is_replaced_by_the_fallback(
    registries: Registries, name: str
) -> None:
    mark = registries.azure.mark()
    other = registries.azure.token("https://appservice.azure.com")
    exchange = AcrExchange(lambda: other, fallback=lambda: registries.arm_token)
    client = registries.client(registries.shop, exchange)
    for _ in range(2):
        assert client.head_manifest(name, "1.0") is None
    assert exchanges(registries, mark) == [401, 200]
    assert client.http.tokens.fell_back


def test_a_token_that_cannot_be_had_is_replaced_by_the_fallback(
    registries: Registries, name: str
) -> None:
    mark = registries.azure.mark()
    exchange = AcrExchange(unavailable, fallback=lambda: registries.arm_token)
    client = registries.client(registries.shop, exchange)
    assert client.head_manifest(name, "1.0") is None
    assert exchanges(registries, mark) == [200]


def test_a_refused_fallback_is_told_with_the_reason_why_it_was_tried(
    registries: Registries, name: str
) -> None:
    registries.azure.change_registry(SHOP, arm_tokens=False)
    try:
        for token, reason in (
            (unavailable, "for Azure Resource Manager). There is no token for 'https://acr.ex"),
            (lambda: registries.arm_token, "(HTTP 401 on exchanging its token)."),
        ):
            exchange = AcrExchange(token, fallback=lambda: registries.arm_token)
            with pytest.raises(Unauthorized) as refusal:
                registries.client(registries.shop, exchange).head_manifest(name, "1.0")
            assert f"Registry '{registries.shop}' doesn't accept" in refusal.value.message
            assert reason in refusal.value.message
            assert registries.arm_token not in refusal.value.message
    finally:
        registries.azure.change_registry(SHOP, arm_tokens=True)


@pytest.mark.parametrize("status", [429, 503])
def test_a_registry_that_throttles_or_fails_is_no_reason_for_the_fallback(
    registries: Registries, status: int
) -> None:
    registries.azure.fault(service="acr", path="/oauth2/exchange", status=status, times=0)
    exchange = AcrExchange(lambda: registries.arm_token, fallback=unavailable)
    with pytest.raises(RegistryFailed, match=f"HTTP {status}"):
        registries.client(registries.shop, exchange).http.tokens.login()


def test_threads_share_one_token(registries: Registries, name: str) -> None:
    client = registries.principal(PUSHER)
    mark = registries.azure.mark()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda tag: client.head_manifest(name, f"t{tag}"), range(16)))
    assert found == [None] * 16
    asked = [r["path"] for r in registries.since(mark)]
    assert asked.count("/oauth2/exchange") == asked.count("/oauth2/token") == 1


def test_a_token_server_that_fails_is_named(registries: Registries, name: str) -> None:
    registries.azure.fault(service="acr", path="/oauth2/token", status=503, times=0)
    with pytest.raises(RegistryFailed, match=r"HTTP 503") as failure:
        registries.owner().head_manifest(name, "1.0")
    assert registries.shop in failure.value.message


def test_a_token_server_that_throttles_is_waited_for(registries: Registries, name: str) -> None:
    registries.azure.fault(service="acr", path="/oauth2/token", status=429, retry_after=0.1)
    with pytest.raises(NotFound):
        registries.owner().get_manifest(name, "1.0")


def test_a_login_for_another_program_that_the_token_server_fails_is_named(
    registries: Registries,
) -> None:
    registries.azure.fault(service="acr", path="/oauth2/exchange", status=503, times=0)
    with pytest.raises(RegistryFailed, match="answered HTTP 503 for a login") as failure:
        registries.owner().http.tokens.login()
    assert registries.shop in failure.value.message


def _admin(registries: Registries) -> Basic:
    path = f"/resourceGroups/shop-rg/providers/Microsoft.ContainerRegistry/registries/{SHOP}"
    session = session_of(registries.azure, registries.arm_token)
    path = f"/subscriptions/{session.subscription}{path}/listCredentials"
    found = Arm(session).post("Credentials", path, "2023-07-01", None)
    return Basic(found["username"], found["passwords"][0]["value"])
