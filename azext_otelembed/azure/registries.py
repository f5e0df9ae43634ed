"""Azure container registries as ARM resources: finding one, importing an image into one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from azext_otelembed.az_commands import Caller
from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.arm_json import Json, object_at, required_object_at, text_at
from azext_otelembed.azure.session import Session
from azext_otelembed.errors import NotFound, Unauthorized
from azext_otelembed.image.reference import Reference
from azext_otelembed.parallel import map_concurrently
from azext_otelembed.registry.auth import Basic

API_VERSION = "2025-11-01"
ABAC = "AbacRepositoryPermissions"


@dataclass(frozen=True, slots=True)
class Registry:
    """A registry; `login_server` is its host, which doesn't follow from its name."""

    id: str
    name: str
    login_server: str
    anonymous_pull: bool = False
    role_assignment_mode: str = ""
    arm_tokens: bool = True
    """Whether it exchanges tokens for ARM: False if azureADAuthenticationAsArmPolicy is disabled
    ("Disable authentication as ARM template", learn.microsoft.com)."""

    @property
    def abac(self) -> bool:
        """Whether rights are granted by repository: then the classic roles give no access."""
        return self.role_assignment_mode == ABAC

    @property
    def subscription(self) -> str:
        """The id of its subscription."""
        return self.id.removeprefix("/subscriptions/").partition("/")[0]

    def command(self, caller: Caller, verb: str, *options: str, option: str = "-n") -> str:
        """The command `az acr VERB` for this registry; `option` is the one for its name."""
        subscription = self.subscription
        return caller.command(
            f"acr {verb}", option, self.name, subscription=subscription, options=options
        )


def all_registries(arm: Arm, subscription: str) -> list[Registry]:
    """The registries of the subscription that the caller may read."""
    path = f"/subscriptions/{subscription}/providers/Microsoft.ContainerRegistry/registries"
    what = "Container registries of the subscription"
    return [_registry(what, item) for item in arm.get_all(what, path, API_VERSION)]


def find(arm: Arm, subscription: str, name_or_host: str) -> Registry:
    """The registry with this name or login server. Raises `NotFound`, which lists the others."""
    return pick(all_registries(arm, subscription), subscription, name_or_host, arm.caller)


def pick(
    found: Sequence[Registry], subscription: str, name_or_host: str, caller: Caller
) -> Registry:
    """The same, among the registries of the subscription."""
    wanted = name_or_host.lower()
    for registry in found:
        if wanted in (registry.name.lower(), registry.login_server.lower()):
            return registry
    names = ", ".join(registry.name for registry in found) or "none"
    raise NotFound(
        f"Container registry '{name_or_host}' was not found in subscription '{subscription}' "
        f"(found: {names}).",
        "Name another with --registry, or choose its subscription with --subscription: "
        f"`{caller.command('acr list', '-o', 'table', subscription=subscription)}`.",
    )


def locate(arm: Arm, subscription: str, host: str) -> Registry | None:
    """The registry at `host`, in the subscription or else in another that the caller can see.

    None where the caller can't see it.
    """

    def within(one: str) -> Registry | None:
        try:
            return find(arm, one, host)
        except (NotFound, Unauthorized):
            return None

    if found := within(subscription):
        return found
    try:
        seen = arm.subscriptions()
    except Unauthorized:
        return None
    others = [one for one in seen if one.lower() != subscription.lower()]
    return next(filter(None, map_concurrently(others, within)), None)


def acr_command(session: Session, host: str, verb: str, *options: str) -> str:
    """The command `az acr VERB` for the registry at `host`, for a hint in an error.

    With its resource name, which only Azure Resource Manager knows; else with a command that finds
    it.
    """
    try:
        found = locate(Arm(session), session.subscription, host)
    except Exception:  # noqa: BLE001  # the error that the hint belongs to matters more
        found = None
    if found is None:
        subscription = session.subscription
        return session.caller.acr_command(host, verb, *options, subscription=subscription)
    return found.command(session.caller, verb, *options)


def import_image(
    arm: Arm,
    registry: Registry,
    source: Reference,
    target: str,
    report_state: Callable[[str], None],
    login: Basic | None = None,
    source_id: str | None = None,
) -> None:
    """Imports an image into the registry, server side, and waits until it has arrived.

    `target` is repository:tag. `report_state` is called with the operation's state; `login` is for
    a private source. `source_id` is the ARM id of a source registry in Azure: it is then read with
    the caller's rights, else anonymously. Raises `Unauthorized` when the caller may not import
    (POST importImage).
    """
    # A tag together with a digest isn't documented.
    separator = "@" if source.digest else ":"
    image: Json = {"sourceImage": f"{source.repository}{separator}{source.selector}"}
    if login is not None:
        arm.secrets.add(login.password)
        image["credentials"] = {"username": login.user, "password": login.password}
    if source_id is not None and login is None:
        image["resourceId"] = source_id
    else:
        image["registryUri"] = source.registry
    body: Json = {"source": image, "targetTags": [target], "mode": "Force"}
    what = f"Import of '{source}' into registry '{registry.name}'"
    for state in arm.start(what, f"{registry.id}/importImage", API_VERSION, body):
        report_state(state)


def _registry(what: str, item: Json) -> Registry:
    properties = required_object_at(what, item, "properties")
    policies = object_at(what, properties, "policies")
    policy = object_at(what, policies, "azureADAuthenticationAsArmPolicy")
    return Registry(
        id=text_at(what, item, "id"),
        name=text_at(what, item, "name"),
        login_server=text_at(what, properties, "loginServer"),
        anonymous_pull=bool(properties.get("anonymousPullEnabled")),
        role_assignment_mode=str(properties.get("roleAssignmentMode") or ""),
        arm_tokens=str(policy.get("status") or "").lower() != "disabled",
    )
