"""Recordings of ARM itself and of every provider but Microsoft.Web."""

from __future__ import annotations

import uuid
from typing import Any

import httpx

from tests.contract.recordings import Sample
from tests.contract.stage import PLAN, REGISTRY, Case, Stage, named, plain

READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"


def new_assignment(stage: Stage, sample: Sample) -> httpx.Response:
    def ours(_: Any) -> Any:
        definitions = f"{stage.subscription}/providers/Microsoft.Authorization/roleDefinitions"
        return {
            "properties": {
                "roleDefinitionId": f"{definitions}/{READER}",
                "principalId": str(uuid.uuid4()),
                "principalType": "User",
            }
        }

    return stage.replay(sample, body=ours, roleAssignments=str(uuid.uuid4()))


def same_assignment(stage: Stage, sample: Sample) -> httpx.Response:
    body = new_assignment(stage, sample).json()
    return stage.replay(
        sample, body=lambda _: {"properties": body["properties"]}, roleAssignments=str(uuid.uuid4())
    )


def assignment_of_a_reader(stage: Stage, sample: Sample) -> httpx.Response:
    return stage.replay(sample, token=stage.other("Reader", stage.subscription).token)


def import_from_azure(stage: Stage, sample: Sample) -> httpx.Response:
    def ours(body: Any) -> Any:
        source = f"{stage.group}/providers/Microsoft.ContainerRegistry/registries/anonymous"
        image = {"resourceId": source, "sourceImage": "hello-world:latest"}
        return {**body, "source": image, "targetTags": [f"imported:{uuid.uuid4().hex}"]}

    return stage.replay(sample, body=ours)


def import_from_outside(stage: Stage, sample: Sample) -> httpx.Response:
    tags = {"targetTags": [f"imported:{uuid.uuid4().hex}"]}
    return stage.replay(sample, body=lambda body: {**body, **tags})


def _import(stage: Stage) -> httpx.Response:
    registries = f"{stage.group}/providers/Microsoft.ContainerRegistry/registries"
    source = {"registryUri": "registry.hub.docker.com", "sourceImage": "library/hello-world"}
    body = {"source": source, "targetTags": [f"imported:{uuid.uuid4().hex}"], "mode": "NoForce"}
    path = f"{registries}/{REGISTRY}/importImage"
    return stage.arm("POST", path, body, "2023-11-01-preview")


def import_poll(stage: Stage, _: Sample) -> httpx.Response:
    return stage.follow(_import(stage))


def import_result(stage: Stage, _: Sample) -> httpx.Response:
    return stage.finish(_import(stage))


def registry_status(stage: Stage, _: Sample) -> httpx.Response:
    return stage.follow(_make_registry(stage)[1], "azure-asyncoperation")


def gone_registry(stage: Stage, sample: Sample) -> httpx.Response:
    return stage.replay(sample, registries=_make_registry(stage)[0])


def _make_registry(stage: Stage) -> tuple[str, httpx.Response]:
    name = f"made{next(stage.numbers)}"
    path = f"{stage.group}/providers/Microsoft.ContainerRegistry/registries/{name}"
    body = {"location": "westeurope", "sku": {"name": "Standard"}, "properties": {}}
    return name, stage.arm("PUT", path, body, "2023-11-01-preview").raise_for_status()


PREMIUM = "Only Premium registries have network rules; the double's are Standard."

CASES = (
    Case("arm-resourcegroup-get", plain, ("tags.*",), "The names of tags are free."),
    Case("arm-resources-filter-acr", plain),
    Case("arm-resources-filter-acr-2026", plain),
    Case("arm-subscriptions-list", plain),
    Case("arm-tenants-list", plain),
    Case("acr-registries-list-rg", plain, ("value[[]].properties.networkRuleSet",), PREMIUM),
    Case("acr-registry-get-2023", plain, ("properties.networkRuleSet",), PREMIUM),
    Case("acr-registry-get-2026", plain),
    Case(
        "acr-registry-put-201", named(registries="made#"), ("properties.networkRuleSet",), PREMIUM
    ),
    Case("acr-registry-delete-202", gone_registry),
    Case("acr-operationstatuses-200", registry_status),
    Case("acr-listcredentials", plain),
    Case("acr-importimage-202", import_from_azure),
    Case("acr-importimage-external-202", import_from_outside),
    Case("acr-importimage-poll-202", import_poll),
    Case("acr-importimage-poll-200", import_result),
    Case("ai-component-get", plain),
    Case(
        "ai-component-put",
        named(components="made#"),
        ("properties.Flow_Type", "properties.Request_Source"),
        "The double doesn't keep where a component came from.",
    ),
    Case(
        "ai-components-list-rg",
        plain,
        (
            "value[[]].properties.Flow_Type",
            "value[[]].properties.Request_Source",
            "value[[]].properties.Retention",
            "value[[]].properties.WorkspaceResourceId",
        ),
        "Components without a workspace were recorded; later ones all have one.",
    ),
    Case("authz-roleassignment-put-201", new_assignment),
    Case("authz-roleassignment-put-201-2026", new_assignment),
    Case("authz-roleassignments-list-atscope", plain),
    Case("authz-roleassignments-list-principal-empty", plain),
    Case("authz-roledefinitions-filter-rolename", plain),
    Case("msi-identity-put", named(userAssignedIdentities="made#")),
    Case("err-400-web-rp", named(serverfarms=f"{PLAN}-zoned")),
    Case("err-403-authorizationfailed", assignment_of_a_reader),
    Case("err-404-acr-rp", plain),
    Case("err-404-arm-gateway-resource", named(serverfarms="nobody")),
    Case("err-404-site-get", named(sites="nobody")),
    Case("err-409-missingsubscriptionregistration", plain),
    Case("err-409-roleassignmentexists", same_assignment),
)
