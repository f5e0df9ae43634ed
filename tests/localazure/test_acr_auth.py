"""Challenges, the exchange, and the tokens of each principal."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterator

import httpx
import pytest

from localazure.client import LocalAzure
from tests.localazure.arm_support import Arm
from tests.localazure.core_support import PRINCIPALS, SECRET, Shop, aad_token, claims

ABSENT = "/manifests/1.0"
ACR = "https://containerregistry.azure.net"
NEW = "2026-01-01-preview"


def basic(user: str, password: str) -> dict[str, str]:
    value = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"authorization": f"Basic {value}"}


def test_the_base_path_challenges_without_a_scope(shop: Shop) -> None:
    answer = shop.http.get(f"https://{shop.login}/v2/")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == (
        f'Bearer realm="https://{shop.login}/oauth2/token",service="{shop.login}"'
    )
    (error,) = answer.json()["errors"]
    assert (error["code"], error["detail"]) == ("UNAUTHORIZED", None)


@pytest.mark.parametrize(
    ("method", "path", "actions"),
    [
        ("GET", "/manifests/1.0", "pull"),
        ("HEAD", "/manifests/1.0", "pull"),
        ("PUT", "/manifests/1.0", "pull,push"),
        ("DELETE", f"/manifests/sha256:{'0' * 64}", "delete"),
        ("HEAD", f"/blobs/sha256:{'0' * 64}", "pull"),
        ("POST", "/blobs/uploads/", "pull,push"),
        ("GET", "/tags/list", "pull"),
        ("GET", f"/referrers/sha256:{'0' * 64}", "pull"),
    ],
)
def test_each_path_challenges_with_the_scope_that_it_needs(
    shop: Shop, method: str, path: str, actions: str
) -> None:
    answer = shop.http.request(method, f"https://{shop.login}/v2/{shop.name}{path}")
    assert answer.status_code == 401
    assert f'scope="repository:{shop.name}:{actions}"' in answer.headers["www-authenticate"]
    if method == "HEAD":
        assert answer.content == b""
        assert int(answer.headers["content-length"]) > 0
    else:
        detail = answer.json()["errors"][0]["detail"]
        assert detail == [
            {"Type": "repository", "Name": shop.name, "Action": action}
            for action in actions.split(",")
        ]


def test_the_attributes_api_and_the_catalog_require_their_own_scopes(shop: Shop) -> None:
    answer = shop.http.get(f"https://{shop.login}/acr/v1/{shop.name}/_tags")
    assert f"repository:{shop.name}:metadata_read" in answer.headers["www-authenticate"]
    answer = shop.http.get(f"https://{shop.login}/v2/_catalog")
    assert "registry:catalog:*" in answer.headers["www-authenticate"]


def test_tokens_have_acrs_lifetimes_and_list_their_actions(shop: Shop) -> None:
    refresh = claims(shop.exchange().json()["refresh_token"])
    access = claims(shop.token(f"repository:{shop.name}:pull"))
    now = time.time()
    assert refresh["aud"] == access["aud"] == shop.login
    assert refresh["exp"] - refresh["iat"] == 11700
    assert access["exp"] - access["iat"] == 4500
    assert abs(now - access["iat"] - 900) < 60
    assert access["access"] == [{"Type": "repository", "Name": shop.name, "Actions": ["pull"]}]


def test_the_token_response_contains_only_the_token(shop: Shop) -> None:
    answer = shop.exchange()
    assert list(answer.json()) == ["refresh_token"]
    form = {
        "grant_type": "refresh_token",
        "service": shop.login,
        "scope": f"repository:{shop.name}:pull",
        **answer.json(),
    }
    token = shop.http.post(f"https://{shop.login}/oauth2/token", data=form)
    assert list(token.json()) == ["access_token"]


def test_a_token_for_another_audience_is_not_exchanged(shop: Shop) -> None:
    other = aad_token(shop.azure, "pusher", "https://appservice.azure.com")
    assert shop.exchange(other).status_code == 401
    assert shop.exchange("nonsense").status_code == 401


@pytest.fixture
def narrow(azure: LocalAzure, shop: Shop) -> Iterator[Shop]:
    """A repository of a registry whose policy azureADAuthenticationAsArmPolicy is disabled."""
    azure.change_registry("shopregistry", arm_tokens=False)
    yield shop
    azure.change_registry("shopregistry", arm_tokens=True)


def test_the_policy_refuses_tokens_for_arm_and_no_others(narrow: Shop) -> None:
    refused = narrow.exchange(aad_token(narrow.azure, "pusher"))
    assert refused.status_code == 401
    assert refused.json() == {
        "errors": [{"code": "UNAUTHORIZED", "message": "token validation failed"}]
    }
    assert narrow.exchange(aad_token(narrow.azure, "pusher", ACR)).status_code == 200
    query = {"service": narrow.login, "scope": f"repository:{narrow.name}:pull"}
    url = f"https://{narrow.login}/oauth2/token"
    docker = narrow.http.get(url, params=query, headers=basic(PRINCIPALS["pusher"][0], SECRET))
    assert docker.status_code == 200, "the policy doesn't affect passwords"


def test_a_registry_exchanges_tokens_of_its_own_audience(azure: LocalAzure, shop: Shop) -> None:
    own = "https://acr.disconnected.example"
    azure.change_registry("shopregistry", audience=own)
    try:
        assert shop.exchange(aad_token(azure, "pusher", own)).status_code == 200
        assert shop.exchange(aad_token(azure, "pusher", ACR)).status_code == 401
    finally:
        azure.change_registry("shopregistry", audience=ACR)


def test_arm_shows_and_changes_the_policy(arm: Arm) -> None:
    path = arm.provider("Microsoft.ContainerRegistry/registries/openregistry")
    name = "azureADAuthenticationAsArmPolicy"

    def status() -> str:
        return str(arm.get(path, version=NEW)["properties"]["policies"][name]["status"])

    for wanted in ("disabled", "enabled"):
        body = {"properties": {"policies": {name: {"status": wanted}}}}
        assert arm.call("PATCH", path, body, NEW).status_code == 200
        assert status() == wanted


def test_a_domain_name_label_puts_a_hash_into_the_host(arm: Arm) -> None:
    path = arm.provider("Microsoft.ContainerRegistry/registries/Contoso")
    properties = {"autoGeneratedDomainNameLabelScope": "TenantReuse"}
    body = {"location": "westeurope", "sku": {"name": "Premium"}, "properties": properties}
    made = arm.call("PUT", path, body, NEW).json()
    assert made["name"] == "Contoso"
    host = made["properties"]["loginServer"]
    assert re.fullmatch(r"contoso-[a-z0-9]{16}\.azurecr\.localhost:\d+", host)
    with arm.azure.http(proxy=arm.azure.proxy) as http:
        challenge = http.get(f"https://{host}/v2/").headers["www-authenticate"]
    assert f'service="{host}"' in challenge
    with arm.azure.http(proxy=arm.azure.proxy) as http, pytest.raises(httpx.ProxyError):
        http.get("https://elsewhere.example/")


def test_a_principal_without_any_role_gets_no_refresh_token(shop: Shop) -> None:
    assert shop.of("unassigned").exchange().status_code == 401


def test_acrpull_reads_and_is_refused_a_push(shop: Shop) -> None:
    puller = shop.of("puller")
    assert puller.call("GET", ABSENT, "pull").status_code == 404
    assert claims(puller.token(f"repository:{shop.name}:pull,push"))["access"][0]["Actions"] == [
        "pull"
    ]
    answer = puller.call("POST", "/blobs/uploads/", "pull,push")
    assert answer.status_code == 401
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


def test_acrpush_pushes_and_does_not_delete(shop: Shop) -> None:
    pusher = shop.of("pusher")
    assert pusher.call("POST", "/blobs/uploads/").status_code == 202
    form = {"service": shop.login, "scope": f"repository:{shop.name}:delete"}
    refresh = pusher.exchange().json()
    form |= {"grant_type": "refresh_token", **refresh}
    assert shop.http.post(f"https://{shop.login}/oauth2/token", data=form).status_code == 401


def test_a_token_is_valid_for_its_repository_only(shop: Shop) -> None:
    token = shop.token(f"repository:{shop.name}:pull")
    headers = {"authorization": f"Bearer {token}"}
    answer = shop.http.get(f"https://{shop.login}/v2/another/manifests/1", headers=headers)
    assert answer.status_code == 401


def test_a_refresh_token_is_no_access_token(shop: Shop) -> None:
    refresh = shop.exchange().json()["refresh_token"]
    headers = {"authorization": f"Bearer {refresh}"}
    answer = shop.http.get(f"https://{shop.login}/v2/{shop.name}/manifests/1", headers=headers)
    assert answer.status_code == 401


def test_an_expired_access_token_is_challenged_again(azure: LocalAzure, shop: Shop) -> None:
    scope = f"repository:{shop.name}:pull"
    refresh = shop.exchange().raise_for_status().json()["refresh_token"]
    azure.token_lifetime(1)
    try:
        shop.tokens[scope] = shop.access_token(refresh, scope)
    finally:
        azure.token_lifetime(None)
    time.sleep(1.2)
    assert shop.call("GET", ABSENT, "pull").status_code == 401


def test_docker_gets_its_token_by_get_with_basic(shop: Shop) -> None:
    query = {"service": shop.login, "scope": f"repository:{shop.name}:pull,push"}
    refresh = shop.exchange().json()["refresh_token"]
    zeros = "00000000-0000-0000-0000-000000000000"
    for user, password in ((zeros, refresh), (PRINCIPALS["pusher"][0], SECRET)):
        url = f"https://{shop.login}/oauth2/token"
        answer = shop.http.get(url, params=query, headers=basic(user, password))
        token = {"authorization": f"Bearer {answer.json()['access_token']}"}
        url = f"https://{shop.login}/v2/{shop.name}/blobs/uploads/"
        assert shop.http.post(url, headers=token).status_code == 202
    wrong = basic("shopregistry", "guess")
    answer = shop.http.get(f"https://{shop.login}/oauth2/token", params=query, headers=wrong)
    assert answer.status_code == 401


def test_anonymous_pull_works_only_where_it_is_enabled(azure: LocalAzure, shop: Shop) -> None:
    for registry, status in (("openregistry", 200), ("shopregistry", 401)):
        login = azure.registries[registry]
        form = {"grant_type": "password", "refresh_token": "", "service": login}
        form["scope"] = f"repository:{shop.name}:pull"
        answer = shop.http.post(f"https://{login}/oauth2/token", data=form)
        assert answer.status_code == status


def test_an_abac_registry_requires_repository_roles(shop: Shop) -> None:
    abac = shop.at("abacregistry")
    assert abac.of("reader").call("GET", ABSENT, "pull").status_code == 404
    assert abac.of("classic").exchange().status_code == 401
    assert abac.exchange().status_code == 401, "the owner has no right to the data"


def test_the_hub_issues_anonymous_tokens_to_pull_and_its_users_tokens_to_push(
    azure: LocalAzure, http: httpx.Client
) -> None:
    hub = azure.registries["hub"]
    challenge = http.get(f"https://{hub}/v2/").headers["www-authenticate"]
    assert challenge == f'Bearer realm="https://{hub}/token",service="{hub}"'
    query = {"service": hub, "scope": "repository:otel/x:pull,push"}
    anonymous = http.get(f"https://{hub}/token", params=query)
    assert anonymous.json()["expires_in"] == 300
    assert claims(anonymous.json()["token"])["access"][0]["actions"] == ["pull"]
    user = http.get(f"https://{hub}/token", params=query, headers=basic("publisher", SECRET))
    assert claims(user.json()["token"])["access"][0]["actions"] == ["pull", "push"]
    assert http.post(f"https://{hub}/oauth2/exchange").status_code == 404


def test_a_public_registry_with_users_refuses_anonymous_pulls(
    azure: LocalAzure, http: httpx.Client
) -> None:
    vault = azure.registries["vault"]
    query = {"service": vault, "scope": "repository:x:pull"}
    token = http.get(f"https://{vault}/token", params=query).json()["token"]
    headers = {"authorization": f"Bearer {token}"}
    assert http.get(f"https://{vault}/v2/x/manifests/1", headers=headers).status_code == 401
    token = http.get(f"https://{vault}/token", params=query, headers=basic("member", SECRET))
    headers = {"authorization": f"Bearer {token.json()['token']}"}
    assert http.get(f"https://{vault}/v2/x/manifests/1", headers=headers).status_code == 404
