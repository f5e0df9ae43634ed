"""What would stop a release, found before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from azext_otelembed.azure import pull_access, registries
from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.arm_json import Json
from azext_otelembed.azure.registries import Registry
from azext_otelembed.azure.registry_access import open_registry
from azext_otelembed.azure.subscriptions import subscriptions
from azext_otelembed.errors import NotFound, Refused, Unauthorized
from azext_otelembed.image.launcher import Launcher
from azext_otelembed.image.reference import Reference
from azext_otelembed.parallel import for_each
from azext_otelembed.registry.auth import Basic

if TYPE_CHECKING:
    from azext_otelembed.azure.session import Session
    from azext_otelembed.webapp.observe import Observed


def check_running(observed: Observed) -> None:
    """Raises `Refused` for a stopped site: its host name answers 403, whatever its image does."""
    if observed.state.lower() == "stopped":
        site = observed.id
        raise Refused(
            f"{site} is stopped, so nothing could tell whether it comes up with another image.",
            f"Start it with `az webapp start {site.arguments}`, then run the same command again.",
        )


def check_pull(session: Session, observed: Observed, image: str) -> str | None:
    """Raises `Refused` when the site certainly can't pull `image`; a note when it can't be told.

    Two requests: the registry, and who may do what there; further ones where the registry lies in
    another subscription, or the site signs in with a user name.
    """
    site = observed.id
    reference = Reference.parse(image)
    host = reference.registry
    how = pull_access.puller(
        site, observed.resource, _configuration(observed), observed.settings, host
    )
    if how.user is not None:
        return _try_login(session, observed, reference, how.user)
    arm = Arm(session)
    registry = _registry(arm, site.subscription, host)
    if registry is None:
        return (
            f"Registry '{host}' can't be seen in any of your subscriptions: whether {site} may "
            "pull from it wasn't checked. Whoever may see it can tell: `az role assignment list "
            f"--scope <the registry's id> --assignee-object-id {how.principal_id or '<the site>'}`."
        )
    return pull_access.check(arm, site, how, registry)


def _registry(arm: Arm, subscription: str, host: str) -> Registry | None:
    """The registry, in the site's subscription or else in any that the caller sees."""
    if found := _registry_in(arm, host, subscription):
        return found
    try:
        seen = subscriptions(arm)
    except Unauthorized:
        return None
    others = [one for one in seen if one.lower() != subscription.lower()]
    return next(filter(None, for_each(others, partial(_registry_in, arm, host))), None)


def _registry_in(arm: Arm, host: str, subscription: str) -> Registry | None:
    try:
        return registries.find(arm, subscription, host)
    except (NotFound, Unauthorized):
        return None


def _try_login(session: Session, observed: Observed, image: Reference, user: str) -> str | None:
    """Signs in as App Service will, with the user name and password of the app settings."""
    site = observed.id
    password = observed.settings.get("DOCKER_REGISTRY_SERVER_PASSWORD", "")
    if password.startswith("@Microsoft."):
        return f"The password that {site} pulls with is a reference: it wasn't tried."
    try:
        with open_registry(session, image.registry, Basic(user, password)) as client:
            client.head_manifest(image.repository, image.selector)
    except Unauthorized:
        name = image.registry.partition(".")[0]
        raise Refused(
            f"{site} may not pull {image} as '{user}': the registry doesn't take "
            "DOCKER_REGISTRY_SERVER_USERNAME and DOCKER_REGISTRY_SERVER_PASSWORD of its app "
            "settings.",
            "See that they are right and, for an admin user, that it is enabled: `az acr "
            f"credential show -n {name}`.",
        ) from None
    return None


def _configuration(observed: Observed) -> Json:
    """How the site, or the main one of its site containers, signs in to the registry."""
    if observed.container is None:
        return observed.configuration
    kind = str(observed.container_properties.get("authType") or "Anonymous")
    if kind == "UserCredentials":
        site = observed.id
        raise Refused(
            f"The main container '{observed.container}' of {site} pulls with a user name and a "
            "password. Azure doesn't show that password, and writing the container's new image "
            "without it would lose it.",
            "Let it pull with the site's identity: `az webapp sitecontainers update "
            f"{site.arguments} --container-name {observed.container} "
            "--system-assigned-identity true`.",
        )
    return {
        "acrUseManagedIdentityCreds": kind in ("SystemIdentity", "UserAssigned"),
        "acrUserManagedIdentityID": observed.container_properties.get(
            "userManagedIdentityClientId"
        ),
    }


# "Environment variables and app settings in Azure App Service" (learn.microsoft.com): how long a
# container has from its stop signal until it is killed.
STOP_LIMIT_SETTING = "WEBSITES_CONTAINER_STOP_TIME_LIMIT"


DEFAULT_STOP_LIMIT = 5


_APP_SECONDS = 1
"""Seconds for the app itself, which ends before the grace begins."""


def check_grace(launcher: Launcher, settings: Mapping[str, str]) -> str | None:
    """A word of warning where the grace of `drain` doesn't fit; None where it does."""
    if launcher.kind != "drain":
        return None
    told = settings.get(STOP_LIMIT_SETTING, "").strip()
    limit = int(told) if told.isascii() and told.isdigit() else DEFAULT_STOP_LIMIT
    if launcher.grace + _APP_SECONDS <= limit:
        return None
    return (
        f"App Service kills a container {limit} s after it told it to stop: too soon for the app's "
        f"own end and the {launcher.grace} s that the collector is left then. Give a smaller "
        f"--grace, or set {STOP_LIMIT_SETTING} to {launcher.grace + 3} or more."
    )
