"""Azure container registries as ARM resources: finding one, importing an image into it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from azext_otelembed.azure.arm_json import Json, part
from azext_otelembed.errors import NotFound

if TYPE_CHECKING:
    from azext_otelembed.azure.arm import Arm
    from azext_otelembed.image.reference import Reference
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
    what = "Container registries of the subscription"
    return [_registry(what, item) for item in arm.get_all(what, path, API_VERSION)]


def find(arm: Arm, subscription: str, name_or_host: str) -> Registry:
    """The registry with this name or login server. Raises `NotFound`, listing what there is."""
    return pick(all_registries(arm, subscription), subscription, name_or_host)


def pick(found: Sequence[Registry], subscription: str, name_or_host: str) -> Registry:
    """The same among the registries of the subscription, once they are known."""
    wanted = name_or_host.lower()
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
    source: Reference,
    target: str,
    said: Callable[[str], None],
    login: Basic | None = None,
    source_id: str | None = None,
) -> None:
    """Copies an image into the registry, server side, and waits until it is there.

    `target` is repository:tag. `said` is told the operation's state; `login` is for the source,
    where that isn't public. `source_id` is the id of a source that is one of Azure's registries: by
    its id it is read with the caller's own rights, by its host as nobody. Raises `Unauthorized`
    when the caller may not import (POST importImage).
    """
    # Documented are repository, repository:tag and repository@digest; not a tag with a digest.
    joint = "@" if source.digest else ":"
    wanted: Json = {"sourceImage": f"{source.repository}{joint}{source.selector}"}
    if login is not None:
        wanted["credentials"] = {"username": login.user, "password": login.password}
    if source_id is not None and login is None:
        wanted["resourceId"] = source_id
    else:
        wanted["registryUri"] = source.registry
    body: Json = {"source": wanted, "targetTags": [target], "mode": "Force"}
    what = f"Import of '{source}' into registry '{registry.name}'"
    for state in arm.start(what, f"{registry.id}/importImage", API_VERSION, body):
        said(state)


def _registry(what: str, item: Json) -> Registry:
    properties = part(what, item, "properties")
    return Registry(
        id=str(item.get("id") or ""),
        name=str(item.get("name") or ""),
        login_server=str(properties.get("loginServer") or ""),
        anonymous_pull=bool(properties.get("anonymousPullEnabled")),
        role_assignment_mode=str(properties.get("roleAssignmentMode") or ""),
    )
