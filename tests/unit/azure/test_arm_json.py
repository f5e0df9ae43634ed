"""What is made of Azure's answers when they are well-formed JSON, and not what they should be."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter

from azext_otelembed.azure import components, pull_access, registries, sign_in
from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.pull_access import PullMethod
from azext_otelembed.azure.registries import Registry
from azext_otelembed.azure.session import Session
from azext_otelembed.azure.sites import SiteClient, SiteId
from azext_otelembed.azure.tasks import Tasks
from azext_otelembed.errors import AzureFailed, OtelembedError
from azext_otelembed.prune.deployed_images import find_deployed_images
from azext_otelembed.webapp.front_door import read_front_door
from azext_otelembed.webapp.observe import check_kind, observe
from tests.fuzz.shapes import reshaped
from tests.release.support import Fixed
from tests.selection import rest_is_thorough
from tests.unit.azure.wire import ENDPOINT, Reply, Wire, session_on

SHOP = SiteId("s", "g", "shop")
REGISTRY = Registry("/registries/r", "r", "r.azurecr.io")
LINUX = {
    "linuxFxVersion": "SITECONTAINERS",
    "ipSecurityRestrictions": [{"ipAddress": "10.0.0.0/8", "action": "Allow", "priority": 1}],
}


class Azure(HTTPAdapter):
    """Answers by the end of the path, and with an empty object otherwise."""

    def __init__(self, **answers: Any) -> None:
        super().__init__()
        self.answers: Mapping[str, Any] = answers

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        """What was set for the path."""
        path = (request.url or "").partition("?")[0]
        found: Any = next((body for end, body in self.answers.items() if path.endswith(end)), {})
        answer = urllib3.HTTPResponse(
            io.BytesIO(json.dumps(found).encode()),
            {"Content-Type": "application/json"},
            status=200,
            preload_content=False,
        )
        return self.build_response(request, answer)


def answered(answers: Mapping[str, Any]) -> Session:
    """A session that is told these things."""
    transport = requests.Session()
    transport.mount("https://", Azure(**answers))
    return Session(
        credential=Fixed("t"),  # type: ignore[arg-type]  # all that is used
        subscription="s",
        tenant="t",
        arm_endpoint="https://arm",
        arm_scope="https://arm/.default",
        acr_suffix="azurecr.io",
        transport={"session": transport, "session_owner": False},
    )


def shop(told: Session) -> SiteClient:
    return SiteClient(told, SHOP)


def observed(told: Session) -> object:
    found = observe(shop(told))
    check_kind(found)
    return pull_access.pull_method(
        SHOP,
        found.resource,
        {"acrUseManagedIdentityCreds": True, "acrUserManagedIdentityID": "c"},
        found.settings,
        "r",
    )


IDENTITY = {
    "principalId": "p",
    "userAssignedIdentities": {"i": {"clientId": "c", "principalId": "q"}},
}
SITE = {
    "id": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/shop",
    "name": "shop",
    "kind": "app,linux",
    "tags": {"a": "b"},
    "identity": IDENTITY,
    "properties": {
        "state": "Running",
        "reserved": True,
        "defaultHostName": "shop.azurewebsites.net",
        "siteConfig": LINUX,
    },
}
SETTINGS = {"properties": {"A": "b"}}
CONTAINER = {
    "name": "shop/main",
    "properties": {
        "isMain": True,
        "image": "r/a:1",
        "inheritAppSettingsAndConnectionStrings": False,
        "environmentVariables": [{"name": "APPLICATIONINSIGHTS_CONNECTION_STRING", "value": "A"}],
    },
}
CONTAINERS = {"value": [CONTAINER]}
WEB = {"properties": LINUX}
WHOLE = {
    "/sites/shop": SITE,
    "/config/web": WEB,
    "/appsettings/list": SETTINGS,
    "/sitecontainers": CONTAINERS,
    "/subscriptions": {"value": [{"subscriptionId": "s", "displayName": "S"}]},
    "/Microsoft.Web/sites": {"value": [SITE]},
    "/slots": {"value": [SITE]},
    "/registries": {"value": [{"id": "/r", "name": "r", "properties": {"loginServer": "r"}}]},
    "/components": {"value": [{"id": "/c", "name": "c", "properties": {"ConnectionString": ""}}]},
    "/components/c": {"id": "/c", "name": "c", "properties": {"ConnectionString": ""}},
    "/roleAssignments": {
        "value": [{"properties": {"scope": "/registries/r", "roleDefinitionId": "/x/y"}}]
    },
    "/appsettings": SETTINGS,
    "/appsettings/A": {"properties": {"status": "Resolved", "details": "d"}},
    "/authsettingsV2": {
        "properties": {
            "platform": {"enabled": True},
            "globalValidation": {
                "unauthenticatedClientAction": "Return401",
                "excludedPaths": ["/health"],
            },
        }
    },
    "/slotConfigNames": {"properties": {"appSettingNames": ["A"]}},
    "/instances": {"value": [{"name": "i", "properties": {"state": "READY"}}]},
    "/listBuildSourceUploadUrl": {"uploadUrl": "https://u", "relativePath": "p"},
    "/runs/1": {
        "properties": {
            "runId": "1",
            "status": "Succeeded",
            "outputImages": [{"repository": "a", "tag": "1", "digest": "d"}],
        }
    },
    "/importImage": {"status": "Succeeded"},
}
"""What Azure says when all is well, by the end of the path."""
CALLS: dict[str, tuple[str, Callable[[Session], object]]] = {
    "a site": ("/sites/shop", observed),
    "its configuration": ("/config/web", observed),
    "its settings": ("/appsettings/list", observed),
    "its containers": ("/sitecontainers", observed),
    "settings that were put": ("/appsettings", lambda told: shop(told).put_settings({})),
    "a reference": ("/appsettings/A", lambda told: shop(told).reference_status("A")),
    "authentication settings": (
        "/authsettingsV2",
        lambda told: read_front_door(shop(told), observe(shop(told)), "/"),
    ),
    "access restrictions": (
        "/config/web",
        lambda told: read_front_door(shop(told), observe(shop(told)), "/"),
    ),
    "slot settings": ("/slotConfigNames", lambda told: shop(told).sticky_settings()),
    "instances": ("/instances", lambda told: shop(told).instances()),
    "a patch": ("/config/web", lambda told: shop(told).patch_configuration({})),
    "registries": ("/registries", lambda told: registries.find(Arm(told), "s", "r")),
    "components": ("/components", lambda told: components.find_all(Arm(told), "s", "g")),
    "a component": ("/components/c", lambda told: components.find(Arm(told), "s", "g", "c")),
    "role assignments": (
        "/roleAssignments",
        lambda told: pull_access.check(Arm(told), SHOP, PullMethod("p"), REGISTRY),
    ),
    "subscriptions": ("/subscriptions", find_deployed_images),
    "a subscription": ("/subscriptions", lambda told: sign_in._resolve_subscription(told)),
    "sites": ("/Microsoft.Web/sites", find_deployed_images),
    "slots": ("/slots", find_deployed_images),
    "all containers": ("/sitecontainers", find_deployed_images),
    "an upload of the source": (
        "/listBuildSourceUploadUrl",
        lambda told: Tasks(Arm(told), REGISTRY).create_upload(),
    ),
    "a run": ("/runs/1", lambda told: Tasks(Arm(told), REGISTRY).get("1")),
    "an operation": (
        "/importImage",
        lambda told: list(Arm(told).start("An import", "/importImage", "1", {})),
    ),
}


OFTEN = ("its configuration", "all containers", "an operation")
"""One of each kind: a document, a list, a poll."""


@pytest.mark.parametrize("name", rest_is_thorough(CALLS, lambda name: name in OFTEN))
def test_an_answer_of_another_shape_is_read_or_is_an_error_with_words(name: str) -> None:
    path, call = CALLS[name]
    told = answered(WHOLE)
    call(told)
    transport: Any = told.transport["session"].get_adapter("https://")
    strange = []
    for answer in reshaped(WHOLE[path]):
        transport.answers = {path: answer, **{p: a for p, a in WHOLE.items() if p != path}}
        try:
            call(told)
        except OtelembedError as error:
            if isinstance(error, AzureFailed) and "Azure" not in error.message:
                strange.append(f"{error.message} for {json.dumps(answer)[:200]}")
        except Exception as error:  # noqa: BLE001  # collected
            strange.append(f"{type(error).__name__}: {error} for {json.dumps(answer)[:200]}")
    assert strange == []


NOTHING: tuple[Any, ...] = (
    None,
    {},
    {"value": None},
    {"value": {}},
    {"value": "[]"},
    {"error": {"code": "x"}},
)
LISTS = {
    "its containers": "Site containers of Web App 'shop'",
    "instances": "Instances of Web App 'shop'",
    "registries": "Container registries of the subscription",
    "components": "Application Insights components of resource group 'g'",
    "role assignments": "Role assignments of registry 'r'",
    "subscriptions": "Subscriptions",
    "a subscription": "Subscriptions",
    "sites": "Web Apps of subscription 's'",
    "slots": "Slots of Web App 'shop'",
    "all containers": "Site containers of 'shop'",
}
"""The calls that read a list, and its name in errors."""


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("answer", NOTHING)
def test_a_list_without_value_is_not_an_empty_one(name: str, answer: Any) -> None:
    path, call = CALLS[name]
    with pytest.raises(AzureFailed) as error:
        call(answered({path: answer, **{p: a for p, a in WHOLE.items() if p != path}}))
    assert error.value.message.startswith(LISTS[name])


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("answer", NOTHING)
def test_nor_is_its_second_page(name: str, answer: Any) -> None:
    path, call = CALLS[name]
    whole: Any = WHOLE[path]
    first = {**whole, "nextLink": "https://arm/second-page?api-version=1"}
    known: dict[str, Any] = {**WHOLE, path: first}
    told = answered({"/second-page": answer, **known})
    with pytest.raises(AzureFailed) as error:
        call(told)
    assert error.value.message.startswith(LISTS[name])
    second = {**whole, "nextLink": ""}
    call(answered({"/second-page": second, **known}))


def without(document: Any, *keys: str | int) -> Any:
    """A document without one of its values."""
    first, *rest = keys
    copied = document.copy()
    if rest:
        copied[first] = without(document[first], *rest)
    else:
        del copied[first]
    return copied


RELIED_ON: tuple[tuple[str, tuple[str | int, ...]], ...] = (
    ("a site", ("properties",)),
    ("a site", ("properties", "reserved")),
    ("a site", ("properties", "state")),
    ("a site", ("properties", "defaultHostName")),
    ("its configuration", ("properties",)),
    ("its configuration", ("properties", "linuxFxVersion")),
    ("its settings", ("properties",)),
    ("its containers", ("value", 0, "properties")),
    ("its containers", ("value", 0, "name")),
    ("a reference", ("properties",)),
    ("slot settings", ("properties",)),
    ("slot settings", ("properties", "appSettingNames")),
    ("instances", ("value", 0, "properties")),
    ("registries", ("value", 0, "properties")),
    ("registries", ("value", 0, "properties", "loginServer")),
    ("registries", ("value", 0, "name")),
    ("registries", ("value", 0, "id")),
    ("components", ("value", 0, "properties")),
    ("components", ("value", 0, "name")),
    ("a component", ("properties",)),
    ("role assignments", ("value", 0, "properties")),
    ("subscriptions", ("value", 0, "subscriptionId")),
    ("sites", ("value", 0, "id")),
    ("sites", ("value", 0, "properties")),
    ("slots", ("value", 0, "id")),
    ("slots", ("value", 0, "properties")),
    ("all containers", ("value", 0, "properties")),
    ("all containers", ("value", 0, "properties", "image")),
    ("an upload of the source", ("uploadUrl",)),
    ("a run", ("properties",)),
    ("a run", ("properties", "status")),
)


@pytest.mark.parametrize(("name", "keys"), RELIED_ON)
def test_a_document_that_lacks_what_is_relied_on_is_an_error(
    name: str, keys: tuple[str | int, ...]
) -> None:
    path, call = CALLS[name]
    told = answered({**WHOLE, path: without(WHOLE[path], *keys)})
    with pytest.raises(AzureFailed, match="Azure answered"):
        call(told)


@pytest.mark.parametrize("version", [None, "missing", 5, ["DOCKER|r/a:1"], {}])
def test_a_configuration_without_an_image_keeps_everything(version: Any) -> None:
    """In the list, in config/web, or in both: a site whose image isn't read runs none for sure."""
    unread = {"properties": {} if version == "missing" else {"linuxFxVersion": version}}
    bare = without(SITE, "properties", "siteConfig")
    told = answered(
        {**WHOLE, "/Microsoft.Web/sites": {"value": [bare]}, "/slots": {"value": []}}
        | {"/config/web": unread}
    )
    with pytest.raises(AzureFailed, match="Configuration of 'shop'"):
        find_deployed_images(told)


def test_easy_auth_that_is_not_read_is_a_problem_and_not_absent() -> None:
    told = answered({**WHOLE, "/authsettingsV2": {}})
    front_door = read_front_door(shop(told), observe(shop(told)), "/")
    assert "Authentication settings of Web App 'shop'" in front_door.problem


@pytest.mark.parametrize("answer", [{}, {"status": None}, {"status": {}}, {"properties": {}}])
def test_an_operation_without_a_state_has_not_succeeded(answer: Any) -> None:
    """The last poll of a swap answers with a resource: that is the only document without one."""
    wire = Wire(
        lambda address: (
            Reply(json.dumps(answer).encode())
            if address.endswith("/poll")
            else Reply(b"", 202, {"Location": f"{ENDPOINT}/poll", "Retry-After": "0"})
        )
    )
    with pytest.raises(AzureFailed, match=r"^The import"):
        list(Arm(session_on(wire)).start("The import", "/importImage", "1", {}))


EMPTY: tuple[Any, ...] = (None, [], 5, "")


@pytest.mark.parametrize("answer", [*EMPTY, {}, *({"properties": one} for one in EMPTY)])
def test_settings_that_cannot_be_read_are_never_none(answer: Any) -> None:
    """They are written back as a whole: what wasn't read would be lost."""
    told = answered({**WHOLE, "/appsettings/list": answer})
    with pytest.raises(AzureFailed, match="App settings of Web App 'shop'"):
        shop(told).settings()


def test_settings_that_were_there_do_not_become_none() -> None:
    told = answered(WHOLE)
    transport: Any = told.transport["session"].get_adapter("https://")
    client = shop(told)
    assert client.settings() == {"A": "b"}
    transport.answers = {**WHOLE, "/appsettings/list": {"properties": {}}}
    with pytest.raises(AzureFailed, match="none, though there were some before"):
        client.settings()
    assert shop(told).settings() == {}, "a site may have none"
    client.put_settings({})
    assert client.settings() == {}
    client.put_settings({"A": "b"})
    with pytest.raises(AzureFailed, match="none, though there were some before"):
        client.settings()
