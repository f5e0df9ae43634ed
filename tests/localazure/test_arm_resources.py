"""Groups, the list of all resources, providers, components, role assignments."""

from __future__ import annotations

import uuid

import pytest

from tests.localazure.arm_support import GROUP, Arm, error

ACR_PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"
AUTHORIZATION = "/providers/Microsoft.Authorization"


def test_a_group_exists_or_not(arm: Arm) -> None:
    missing = f"{arm.subscription}/resourcegroups/none"
    assert arm.call("HEAD", arm.group).status_code == 204
    absent = arm.call("HEAD", missing)
    assert (absent.status_code, absent.content) == (404, b"")
    assert error(arm.call("GET", missing)) == (404, "ResourceGroupNotFound")
    found = arm.get(f"{arm.subscription}/resourcegroups/{GROUP.upper()}")
    assert found["id"] == arm.group
    assert found["properties"] == {"provisioningState": "Succeeded"}


def test_a_put_creates_a_group(arm: Arm) -> None:
    path = f"{arm.subscription}/resourceGroups/{uuid.uuid4().hex}"
    assert arm.call("PUT", path, {"location": "West Europe"}).status_code == 201
    assert arm.call("PUT", path, {"location": "westeurope"}).status_code == 200
    assert arm.get(path)["location"] == "westeurope"
    assert error(arm.call("PUT", path, {})) == (400, "LocationRequired")


def test_the_subscription_is_listed_with_its_count(arm: Arm) -> None:
    listed = arm.get("/subscriptions", version="2022-12-01")
    assert listed["count"] == {"type": "Total", "value": 1}
    (only,) = listed["value"]
    assert (only["subscriptionId"], only["tenantId"]) == (arm.azure.subscription, arm.azure.tenant)
    assert only["state"] == "Enabled"


def test_a_second_subscription_with_its_groups_and_sites_is_visible_to_principals_with_a_role(
    arm: Arm,
) -> None:
    group = f"far-{uuid.uuid4().hex[:8]}"
    other = f"/subscriptions/{arm.azure.add_subscription('far', [group])}"
    site = arm.site(group=group)
    assert site.startswith(f"{other}/resourceGroups/{group}/")
    caller = arm.other("Reader", other)
    listed = caller.get("/subscriptions", version="2022-12-01")
    assert [one["displayName"] for one in listed["value"]] == ["far"]
    assert arm.get("/subscriptions", version="2022-12-01")["count"]["value"] == 1, "no role there"
    sites = "/providers/Microsoft.Web/sites"
    assert [one["id"] for one in caller.get(other + sites)["value"]] == [site]
    assert caller.get(site)["id"] == site
    assert [one["name"] for one in caller.get(f"{other}/resourceGroups")["value"]] == [group]
    assert caller.get(f"{other}/resources")["value"][0]["id"] == site
    assert site not in [one["id"] for one in arm.get(arm.subscription + sites)["value"]]
    misplaced = f"{arm.subscription}/resourceGroups/{group}"
    assert error(arm.call("GET", misplaced)) == (404, "ResourceGroupNotFound")
    nowhere = f"/subscriptions/{uuid.uuid4()}"
    assert error(arm.call("GET", nowhere)) == (404, "SubscriptionNotFound")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("name eq 'findable'", {"findable"}),
        ("resourceType eq 'microsoft.web/SITES' and name eq 'findable'", {"findable"}),
        ("resourceType eq 'Microsoft.Insights/components'", {"shop-insights"}),
        ("resourceGroup eq 'none'", set()),
        ("tagName eq 'purpose' and tagValue eq 'finding'", {"findable"}),
    ],
)
def test_resources_are_found_by_filter(arm: Arm, text: str, found: set[str]) -> None:
    listed = arm.call("GET", arm.provider("Microsoft.Web/sites/findable"))
    if listed.status_code == 404:
        arm.site(name="findable", tags={"purpose": "finding"})
    path = f"{arm.subscription}/resources"
    answer = arm.get(path, params={"$filter": text}, version="2024-11-01")
    assert {each["name"] for each in answer["value"]} == found


def test_a_groups_resources_are_those_of_every_provider(arm: Arm) -> None:
    slot = arm.slot(arm.site())
    found = arm.get(f"{arm.group}/resources", version="2024-11-01")["value"]
    kinds = {each["type"] for each in found}
    assert {
        "Microsoft.Web/sites",
        "Microsoft.Web/sites/slots",
        "Microsoft.Web/serverFarms",
        "Microsoft.ContainerRegistry/registries",
        "Microsoft.Insights/components",
    } <= kinds
    assert slot in {each["id"] for each in found}


def test_a_provider_lists_its_types_and_versions(arm: Arm) -> None:
    found = arm.get(f"{arm.subscription}/providers/microsoft.insights", version="2024-11-01")
    assert found["registrationState"] == "Registered"
    (kind,) = found["resourceTypes"]
    assert kind["resourceType"] == "components"
    assert "2020-02-02" in kind["apiVersions"]
    missing = arm.call("GET", f"{arm.subscription}/providers/Nobody.Knows")
    assert error(missing) == (404, "InvalidResourceNamespace")


def test_a_component_has_lower_case_ids_and_pascal_case_properties(arm: Arm) -> None:
    path = arm.provider("Microsoft.Insights/components/Shop-Insights")
    found = arm.get(path, version="2020-02-02-preview")
    assert found["id"] == arm.provider("microsoft.insights/components/shop-insights")
    assert found["type"] == "microsoft.insights/components"
    properties = found["properties"]
    assert properties["ApplicationId"] == "shop-insights"
    assert properties["ConnectionString"] == arm.azure.components["shop-insights"]
    assert (
        f"InstrumentationKey={properties['InstrumentationKey']};" in properties["ConnectionString"]
    )
    assert properties["ConnectionString"].endswith(f";ApplicationId={properties['AppId']}")


def test_a_put_creates_a_component(arm: Arm) -> None:
    path = arm.provider(f"microsoft.insights/components/{uuid.uuid4().hex}")
    made = arm.call("PUT", path, {"location": "westeurope", "kind": "web"}, "2020-02-02")
    assert made.status_code == 200
    listed = arm.get(arm.provider("microsoft.insights/components"), version="2020-02-02")["value"]
    assert path in {each["id"] for each in listed}


def test_a_role_is_assigned_once(arm: Arm) -> None:
    site = arm.site()
    definition = f"{arm.subscription}{AUTHORIZATION}/roleDefinitions/{ACR_PULL}"
    principal = str(uuid.uuid4())
    properties = {"roleDefinitionId": definition, "principalId": principal}
    body = {"properties": {**properties, "principalType": "ServicePrincipal"}}
    path = f"{site}{AUTHORIZATION}/roleAssignments/{uuid.uuid4()}"
    made = arm.call("PUT", path, body, "2022-04-01")
    assert made.status_code == 201
    assert made.json()["properties"]["scope"] == site
    other = f"{site}{AUTHORIZATION}/roleAssignments/{uuid.uuid4()}"
    assert error(arm.call("PUT", other, body, "2022-04-01")) == (409, "RoleAssignmentExists")
    removed = arm.call("DELETE", path, version="2022-04-01")
    assert removed.json()["properties"]["principalId"] == principal
    assert arm.call("PUT", other, body, "2022-04-01").status_code == 201


def test_at_scope_lists_inherited_assignments_and_none_below(arm: Arm) -> None:
    site = arm.site()
    arm.other("Reader", site)
    arm.other("Monitoring Reader", arm.group)

    def scopes(path: str, text: str) -> set[str]:
        found = arm.get(
            f"{path}{AUTHORIZATION}/roleAssignments",
            params={"$filter": text} if text else {},
            version="2022-04-01",
        )
        return {each["properties"]["scope"] for each in found["value"]}

    assert {arm.subscription, arm.group, site} <= scopes(site, "atScope()")
    assert site not in scopes(arm.group, "atScope()")
    assert site in scopes(arm.group, "")


def test_assignments_of_one_principal_are_chosen_by_filter(arm: Arm) -> None:
    site = arm.site(system_identity=True, roles=[{"role": "AcrPull", "scope": "{shopregistry.id}"}])
    principal = arm.get(site)["identity"]["principalId"]
    for text in (f"principalId eq '{principal}'", f"assignedTo('{principal}')"):
        found = arm.get(
            f"{arm.subscription}{AUTHORIZATION}/roleAssignments",
            params={"$filter": text},
            version="2022-04-01",
        )["value"]
        (only,) = found
        assert only["properties"]["roleDefinitionId"].endswith(ACR_PULL)


def test_a_role_definition_is_found_by_its_name_in_any_case(arm: Arm) -> None:
    path = f"{arm.group}{AUTHORIZATION}/roleDefinitions"
    found = arm.get(path, params={"$filter": "roleName eq 'acrpull'"}, version="2022-05-01-preview")
    (only,) = found["value"]
    assert only["name"] == ACR_PULL
    assert only["properties"]["roleName"] == "AcrPull"
    body = {"properties": {"roleDefinitionId": f"{path}/{uuid.uuid4()}", "principalId": "x"}}
    new = f"{arm.group}{AUTHORIZATION}/roleAssignments/{uuid.uuid4()}"
    answer = arm.call("PUT", new, body, "2022-04-01")
    assert error(answer) == (404, "RoleDefinitionDoesNotExist")
