"""Managed identities: tokens for a machine, as in App Service and on a virtual machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from localazure.client import LocalAzure
from tests.localazure.core_support import claims

ARM = "https://management.core.windows.net/"
Ask = Callable[..., httpx.Response]
APP_SERVICE = {"api-version": "2019-08-01", "resource": ARM}
VM = {"api-version": "2018-02-01", "resource": ARM}


@pytest.fixture
def host(azure: LocalAzure) -> dict[str, Any]:
    """A machine with a system-assigned identity (Reader), and a user-assigned one."""
    scope = f"/subscriptions/{azure.subscription}"
    return azure.add_host(
        roles=[{"role": "Reader", "scope": scope}], user=[{"roles": []}, {"roles": []}]
    )


def app_service(http: httpx.Client, host: dict[str, Any], **query: str) -> httpx.Response:
    headers = {"X-IDENTITY-HEADER": host["header"]}
    return http.get(host["endpoint"], params={**APP_SERVICE, **query}, headers=headers)


def vm(http: httpx.Client, host: dict[str, Any], **query: str) -> httpx.Response:
    at = f"{host['imds']}/metadata/identity/oauth2/token"
    return http.get(at, params={**VM, **query}, headers={"Metadata": "true"})


def test_app_service_issues_a_token_of_the_system_assigned_identity(
    azure: LocalAzure, http: httpx.Client, host: dict[str, Any]
) -> None:
    found = app_service(http, host).raise_for_status().json()
    assert abs(int(found["expires_on"]) - time.time() - 86399) < 30
    assert found["token_type"] == "Bearer"
    assert found["resource"] == ARM
    groups = http.get(
        f"{azure.management}/subscriptions/{azure.subscription}/resourcegroups",
        params={"api-version": "2022-09-01"},
        headers={"authorization": f"Bearer {found['access_token']}"},
    )
    assert groups.status_code == 200


def test_a_virtual_machine_issues_the_same_token_with_its_lifetime(
    http: httpx.Client, host: dict[str, Any]
) -> None:
    found = vm(http, host).raise_for_status().json()
    assert (found["expires_in"], found["ext_expires_in"]) == ("86399", "86399")


@pytest.mark.parametrize("ask", [app_service, vm])
def test_a_user_assigned_identity_is_named_by_its_client_id(
    http: httpx.Client, host: dict[str, Any], ask: Any
) -> None:
    wanted = host["user_client_ids"][1]
    found = ask(http, host, client_id=wanted).raise_for_status().json()
    assert found["client_id"] == wanted
    assert claims(found["access_token"])["appid"] == wanted
    assert ask(http, host, client_id="99999999").status_code == 400


def test_a_machine_without_identity_gets_none(azure: LocalAzure, http: httpx.Client) -> None:
    host = azure.add_host(system=False)
    assert "No User Assigned" in app_service(http, host).json()["message"]
    assert vm(http, host).json()["error_description"] == "Identity not found"


def test_requests_without_the_required_header_are_refused(
    http: httpx.Client, host: dict[str, Any]
) -> None:
    assert http.get(host["endpoint"], params=APP_SERVICE).status_code == 401
    at = f"{host['imds']}/metadata/identity/oauth2/token"
    answer = http.get(at, params=VM)
    assert answer.status_code == 400
    assert answer.json()["error_description"] == "Required metadata header not specified"


@pytest.mark.parametrize("ask", [app_service, vm])
def test_a_resource_that_the_tenant_does_not_have_gets_no_token(
    azure: LocalAzure, http: httpx.Client, host: dict[str, Any], ask: Ask
) -> None:
    acr = "https://containerregistry.azure.net"
    assert claims(ask(http, host, resource=acr).json()["access_token"])["aud"] == acr
    azure.unknown_resources(acr)
    try:
        refused = ask(http, host, resource=acr)
        assert refused.status_code == 400
        assert f"AADSTS500011: The resource principal named {acr} was not found" in refused.text
        assert ask(http, host).status_code == 200
    finally:
        azure.unknown_resources()
