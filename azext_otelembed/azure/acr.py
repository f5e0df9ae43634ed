"""Azure container registries as ARM resources: finding one, importing an image into it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from azext_otelembed.azure.arm import Json
from azext_otelembed.errors import NotFound

if TYPE_CHECKING:
    from azext_otelembed.azure.arm import Arm
    from azext_otelembed.registry.auth import Basic

API_VERSION = "2025-11-01"


@dataclass(frozen=True, slots=True)
class Registry:
    """A registry; `login_server` is its host, which can't be derived from its name."""

    id: str
    name: str
    login_server: str
    anonymous_pull: bool = False
    role_assignment_mode: str = ""


def all_registries(arm: Arm, subscription: str) -> list[Registry]:
    """The registries of the subscription that the caller may see."""
    path = f"/subscriptions/{subscription}/providers/Microsoft.ContainerRegistry/registries"
    found = arm.get_all("Container registries of the subscription", path, API_VERSION)
    return [_registry(item) for item in found]


def find(arm: Arm, subscription: str, name_or_host: str) -> Registry:
    """The registry with this name or login server. Raises `NotFound`, listing what there is."""
    wanted = name_or_host.lower()
    found = all_registries(arm, subscription)
    for registry in found:
        if wanted in (registry.name.lower(), registry.login_server.lower()):
            return registry
    names = ", ".join(registry.name for registry in found) or "none"
    raise NotFound(
        f"Container registry '{name_or_host}' was not found in subscription '{subscription}' "
        f"(there: {names}).",
        "Name another with --registry, or choose its subscription with --subscription: "
        "`az acr list -o table`.",
    )


def import_image(
    arm: Arm,
    registry: Registry,
    source_host: str,
    source_image: str,
    target: str,
    said: Callable[[str], None],
    login: Basic | None = None,
) -> None:
    """Copies an image into the registry, server side, and waits until it is there.

    `source_image` is repository with tag or digest, `target` repository:tag. `said` is told the
    operation's state; `login` is for the source, where that isn't public. Raises `Unauthorized`
    when the caller may not import (POST importImage).
    """
    source: Json = {"registryUri": source_host, "sourceImage": source_image}
    if login is not None:
        source["credentials"] = {"username": login.user, "password": login.password}
    body: Json = {
        "source": source,
        "targetTags": [target],
        "mode": "Force",
    }
    what = f"Import of '{source_host}/{source_image}' into registry '{registry.name}'"
    for state in arm.start(what, f"{registry.id}/importImage", API_VERSION, body):
        said(state)


def _registry(item: Json) -> Registry:
    properties = item.get("properties") or {}
    return Registry(
        id=str(item.get("id") or ""),
        name=str(item.get("name") or ""),
        login_server=str(properties.get("loginServer") or ""),
        anonymous_pull=bool(properties.get("anonymousPullEnabled")),
        role_assignment_mode=str(properties.get("roleAssignmentMode") or ""),
    )
