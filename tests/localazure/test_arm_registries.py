"""Registries in ARM: the JSON of each api-version, credentials, imports."""

from __future__ import annotations

import uuid
from pathlib import Path

from localazure.images.assemble import Entry, Image, layer, write_layout
from tests.localazure.arm_support import Arm, error

OLD, NEW = "2023-11-01-preview", "2026-01-01-preview"
REGISTRY = "Microsoft.ContainerRegistry/registries/shopregistry"


def test_newer_versions_show_the_role_assignment_mode(arm: Arm) -> None:
    new = arm.get(arm.provider(REGISTRY), version=NEW)
    old = arm.get(arm.provider(REGISTRY), version=OLD)
    assert list(new)[:4] == ["sku", "type", "id", "name"]
    assert new["properties"]["roleAssignmentMode"] == "LegacyRegistryPermissions"
    assert "roleAssignmentMode" not in old["properties"]
    assert new["properties"]["loginServer"] == arm.azure.registries["shopregistry"]
    abac = arm.get(arm.provider("Microsoft.ContainerRegistry/registries/abacregistry"), version=NEW)
    assert abac["properties"]["roleAssignmentMode"] == "AbacRepositoryPermissions"


def test_the_list_has_azures_registries_but_no_public_one(arm: Arm) -> None:
    path = f"{arm.subscription}/providers/Microsoft.ContainerRegistry/registries"
    answer = arm.get(path, version=NEW)
    names = {each["name"] for each in answer["value"]}
    assert {"shopregistry", "openregistry", "abacregistry"} <= names
    assert "hub" not in names
    assert "nextLink" not in answer


def test_az_finds_a_registry_by_its_type_in_the_list_of_resources(arm: Arm) -> None:
    wanted = "resourceType eq 'Microsoft.ContainerRegistry/registries'"
    path = f"{arm.subscription}/resources"
    found = arm.get(path, params={"$filter": wanted}, version="2024-11-01")["value"]
    assert {each["type"] for each in found} == {"Microsoft.ContainerRegistry/registries"}
    assert arm.provider(REGISTRY) in {each["id"] for each in found}


def test_the_admin_password_is_listed_and_valid(arm: Arm) -> None:
    answer = arm.call("POST", f"{arm.provider(REGISTRY)}/listCredentials", version=NEW).json()
    assert answer["username"] == "shopregistry"
    assert [each["name"] for each in answer["passwords"]] == ["password", "password2"]
    login = arm.azure.registries["shopregistry"]
    for password in answer["passwords"]:
        token = arm.http.get(
            f"https://{login}/oauth2/token",
            params={"service": login, "scope": "registry:catalog:*"},
            auth=("shopregistry", password["value"]),
        )
        assert token.status_code == 200


def test_without_an_admin_user_there_are_no_credentials(arm: Arm) -> None:
    path = arm.provider("Microsoft.ContainerRegistry/registries/openregistry")
    answer = arm.call("POST", f"{path}/listCredentials", version=NEW)
    assert error(answer) == (400, "UnAuthorizedForCredentialOperations")
    assert answer.json()["status"] == "Failed"


def test_a_registry_is_changed_by_patch(arm: Arm) -> None:
    path = arm.provider("Microsoft.ContainerRegistry/registries/abacregistry")
    body = {"properties": {"adminUserEnabled": True}}
    assert arm.call("PATCH", path, body, NEW).json()["properties"]["adminUserEnabled"] is True
    body["properties"]["adminUserEnabled"] = False
    arm.call("PATCH", path, body, NEW)
    assert arm.get(path, version=NEW)["properties"]["adminUserEnabled"] is False


def test_an_import_is_polled_to_its_end(arm: Arm, tmp_path: Path) -> None:
    repository = f"library/{uuid.uuid4().hex}"
    write_layout(tmp_path, Image([layer([Entry("a", b"a")])], {"Cmd": ["/a"]}), "1")
    arm.azure.push("hub", repository, "1", tmp_path)
    source = {"registryUri": "docker.io", "sourceImage": f"{repository}:1"}
    body = {"source": source, "targetTags": [f"imported/{repository}:2"], "mode": "NoForce"}
    begun = arm.call("POST", f"{arm.provider(REGISTRY)}/importImage", body, NEW)
    assert (begun.status_code, begun.content) == (202, b"")
    location = begun.headers["location"]
    results = "/providers/Microsoft.ContainerRegistry/locations/WESTEUROPE/operationResults/"
    assert location.startswith(f"{arm.azure.management}{arm.subscription}{results}registries-")
    first = arm.call("GET", location)
    assert (first.status_code, first.json()) == (202, {"status": "Accepted"})
    assert arm.finish(first).json() == {"status": "Succeeded"}


def test_a_registry_is_made_and_deleted(arm: Arm) -> None:
    path = arm.provider("Microsoft.ContainerRegistry/registries/shortlived")
    body = {"location": "westeurope", "sku": {"name": "Standard"}, "properties": {}}
    made = arm.call("PUT", path, body, NEW)
    assert made.status_code == 201
    assert made.json()["properties"]["provisioningState"] == "Creating"
    status = arm.call("GET", made.headers["azure-asyncoperation"])
    assert (status.status_code, status.json()) == (200, {"status": "Creating"})
    gone = arm.call("DELETE", path, version=NEW)
    assert gone.json()["properties"]["provisioningState"] == "Deleting"
    assert arm.finish(gone).status_code == 200
    assert error(arm.call("GET", path, version=NEW)) == (404, "ResourceNotFound")
