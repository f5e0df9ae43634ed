"""Entra ID: metadata, OpenID configuration, tokens and error responses."""

from __future__ import annotations

import base64
import json
import time

import httpx
import jwt
import pytest

from localazure.client import LocalAzure
from tests.localazure.core_support import PRINCIPALS, SECRET, aad_token, claims

ARM = "https://management.core.windows.net/"


def ask(azure: LocalAzure, http: httpx.Client, **changes: str) -> httpx.Response:
    form = {
        "grant_type": "client_credentials",
        "client_id": PRINCIPALS["pusher"][0],
        "client_secret": SECRET,
        "scope": f"{ARM}/.default",
        **changes,
    }
    given = {name: value for name, value in form.items() if value}
    return http.post(f"{azure.management}/{azure.tenant}/oauth2/v2.0/token", data=given)


@pytest.mark.parametrize("path", ["/metadata/endpoints", "//metadata/endpoints"])
def test_the_metadata_is_one_object_with_every_endpoint_that_az_needs(
    azure: LocalAzure, http: httpx.Client, path: str
) -> None:
    found = http.get(f"{azure.management}{path}?api-version=2022-09-01").json()
    assert found["resourceManager"] == f"{azure.management}/"
    assert found["authentication"]["loginEndpoint"] == f"{azure.management}/"
    assert found["authentication"]["audiences"][0] == ARM
    for name in (
        "name",
        "appServiceResourceId",
        "logAnalyticsResourceId",
        "appInsightsResourceId",
        "microsoftGraphResourceId",
        "ossrdbmsResourceId",
    ):
        assert found[name]
    assert {"acrLoginServer", "keyVaultDns", "storage"} <= set(found["suffixes"])


def test_the_openid_configuration_points_at_the_double(
    azure: LocalAzure, http: httpx.Client
) -> None:
    path = f"{azure.management}/{azure.tenant}/v2.0/.well-known/openid-configuration"
    answer = http.get(path)
    found = answer.json()
    assert found["token_endpoint"] == f"{azure.management}/{azure.tenant}/oauth2/v2.0/token"
    assert found["issuer"] == f"{azure.management}/{azure.tenant}/v2.0"
    assert answer.headers["cache-control"] == "max-age=86400, private"
    other = path.replace(azure.tenant, "99999999-0000-4000-8000-000000000000")
    assert http.get(other).json()["error_codes"] == [90002]


def test_a_token_is_a_signed_jwt_with_the_claims_that_services_read(
    azure: LocalAzure, http: httpx.Client
) -> None:
    answer = ask(azure, http)
    body = answer.json()
    assert list(body) == ["token_type", "expires_in", "ext_expires_in", "access_token"]
    assert body["expires_in"] == 3599
    assert answer.headers["cache-control"] == "no-store, no-cache"
    keys = http.get(f"{azure.management}/{azure.tenant}/discovery/v2.0/keys").json()
    key = jwt.PyJWK(keys["keys"][0])
    found = jwt.decode(body["access_token"], key.key, algorithms=["RS256"], audience=ARM)
    assert found["tid"] == azure.tenant
    assert found["appid"] == PRINCIPALS["pusher"][0]
    assert found["oid"] == found["sub"]
    assert abs(found["exp"] - time.time() - 3599) < 30


def test_a_client_that_handles_claims_challenges_gets_a_long_lived_token(
    azure: LocalAzure, http: httpx.Client
) -> None:
    wanted = json.dumps({"access_token": {"xms_cc": {"values": ["CP1"]}}})
    body = ask(azure, http, claims=wanted).json()
    assert (body["expires_in"], body["refresh_in"]) == (86399, 43199)


def test_the_audience_is_the_requested_one(azure: LocalAzure, http: httpx.Client) -> None:
    for scope, audience in (
        ("https://appservice.azure.com/.default", "https://appservice.azure.com"),
        (f"{ARM}/.default", ARM),
    ):
        token = ask(azure, http, scope=scope).json()["access_token"]
        assert claims(token)["aud"] == audience


@pytest.mark.parametrize(
    ("changes", "status", "error", "number"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client", 7000215),
        ({"client_secret": ""}, 401, "invalid_client", 7000218),
        ({"client_id": "00000000-1111"}, 400, "unauthorized_client", 700016),
        ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
        ({"scope": "openid"}, 400, "invalid_scope", 1002012),
    ],
)
def test_error_responses_have_entras_numbers(
    azure: LocalAzure,
    http: httpx.Client,
    changes: dict[str, str],
    status: int,
    error: str,
    number: int,
) -> None:
    answer = ask(azure, http, **changes)
    body = answer.json()
    assert (answer.status_code, body["error"], body["error_codes"]) == (status, error, [number])
    assert body["error_description"].startswith(f"AADSTS{number}: ")
    assert "\r\nTrace ID: " in body["error_description"]
    assert {"timestamp", "trace_id", "correlation_id", "error_uri"} <= set(body)


def test_the_secret_may_be_sent_as_basic_authentication(
    azure: LocalAzure, http: httpx.Client
) -> None:
    form = {"grant_type": "client_credentials", "scope": f"{ARM}/.default"}
    url = f"{azure.management}/{azure.tenant}/oauth2/v2.0/token"
    assert http.post(url, data=form, auth=(PRINCIPALS["pusher"][0], SECRET)).status_code == 200
    assert http.post(url, data=form, headers={"authorization": "Basic !"}).status_code == 400


def subscriptions(azure: LocalAzure, http: httpx.Client, token: str | None) -> httpx.Response:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    url = f"{azure.management}/subscriptions?api-version=2022-12-01"
    return http.get(url, headers=headers)


def test_arm_refuses_tokens_that_are_not_for_arm(azure: LocalAzure, http: httpx.Client) -> None:
    good = azure.token()
    assert subscriptions(azure, http, good).status_code == 200
    scm = azure.token("https://appservice.azure.com")
    header, _, signature = good.split(".")
    forged = claims(good) | {"oid": "someone-else"}
    text = base64.urlsafe_b64encode(json.dumps(forged).encode()).decode().rstrip("=")
    for token, code in (
        (None, "AuthenticationFailed"),
        (scm, "InvalidAuthenticationToken"),
        ("nonsense", "InvalidAuthenticationToken"),
        (f"{header}.{text}.{signature}", "InvalidAuthenticationToken"),
    ):
        answer = subscriptions(azure, http, token)
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == code
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def test_arm_refuses_an_expired_token_with_the_time_of_its_expiry(
    azure: LocalAzure, http: httpx.Client
) -> None:
    azure.token_lifetime(1)
    try:
        token = azure.token()
        time.sleep(2.1)
        answer = subscriptions(azure, http, token)
    finally:
        azure.token_lifetime(None)
    assert answer.status_code == 401
    error = answer.json()["error"]
    assert error["code"] == "ExpiredAuthenticationToken"
    assert "is earlier than current UTC time" in error["message"]


def test_graph_finds_a_principal_by_its_application(azure: LocalAzure, http: httpx.Client) -> None:
    client_id = PRINCIPALS["pusher"][0]
    query = {"$filter": f"servicePrincipalNames/any(c:c eq '{client_id}')"}
    (found,) = http.get(f"{azure.management}/v1.0/servicePrincipals", params=query).json()["value"]
    assert found["id"] == claims(aad_token(azure, "pusher"))["oid"]
    body = {"ids": [found["id"]]}
    answer = http.post(f"{azure.management}/v1.0/directoryObjects/getByIds", json=body)
    assert answer.json()["value"][0]["appId"] == client_id
