"""Finds the reasons why a release would fail before anything is changed."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from azext_otelembed.az_commands import option, placeholder
from azext_otelembed.azure import pull_access, registries
from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.arm_json import Json
from azext_otelembed.azure.session import Session
from azext_otelembed.errors import Refused, Unauthorized
from azext_otelembed.image.existing_collector import StartCommand, find_in_startup_command
from azext_otelembed.image.init_program import check_init
from azext_otelembed.image.launcher import Launcher
from azext_otelembed.image.reference import Reference
from azext_otelembed.image.shell_script import MAX_LENGTH
from azext_otelembed.registry.auth import Basic
from azext_otelembed.webapp.observe import Observed
from azext_otelembed.whole_number import whole_number

STOP_LIMIT_SETTING = "WEBSITES_CONTAINER_STOP_TIME_LIMIT"
"""Seconds from the stop signal to the kill ("Environment variables and app settings in Azure App
Service", learn.microsoft.com)."""
DEFAULT_STOP_LIMIT = 5
_APP_SECONDS = 1
"""Seconds for the app's own shutdown, which ends before the grace begins."""


def check_running(observed: Observed) -> None:
    """Raises `Refused` for a stopped site: its host name answers 403 with any image."""
    if observed.state.lower() == "stopped":
        site = observed.id
        raise Refused(
            f"{site} is stopped, so a release of it could not be verified.",
            f"Start it with `{site.command('webapp start')}`, then run the same command again.",
        )


def check_startup_command(observed: Observed) -> None:
    """Raises `Refused` if the site's startup command starts a collector: there would be two.

    It takes the place of the image's Cmd, so --unwrap doesn't reach it.
    """
    site, container = observed.id, observed.container
    owner, text = _startup_command(observed)
    if container is None:
        change: tuple[str, ...] = ("webapp config set",)
        flag, name = "--startup-file", "app_command_line"
    else:
        change = ("webapp sitecontainers update", *option("--container-name", container))
        flag, name = "--startup-cmd", "startUpCommand"
    found = find_in_startup_command(text)
    if found is None:
        return
    new = "<the command that starts only the app>"
    if found.app is not None:
        new = observed.startup_word(shlex.join(found.app.cmd))
    raise Refused(
        f"The startup command of {owner} starts a collector already: "
        f"`{observed.mask(found.collector)}`. With the embedded one there would be two, on the "
        "same ports.",
        "--unwrap changes an image's command only. Remove the collector from the startup command "
        f"with `{site.command(*change, *option(flag, new))}`, and where Terraform or Bicep sets it "
        f"({name}) there as well. Then run the same command again.",
    )


def check_init_command(observed: Observed, launcher: Launcher) -> None:
    """Raises `Refused` if the site's startup command doesn't work with the launcher."""
    owner, text = _startup_command(observed)
    try:
        words = tuple(shlex.split(text)) if len(text) <= MAX_LENGTH else ()
    except ValueError:
        return
    check_init(f"The startup command of {owner}", StartCommand((), words), launcher)


def _startup_command(observed: Observed) -> tuple[str, str]:
    """What has the startup command, the site or its main container; and the command."""
    if observed.container is None:
        return f"{observed.id}", observed.startup_command
    owner = f"the main container '{observed.container}' of {observed.id}"
    return owner, str(observed.container_properties.get("startUpCommand") or "")


def check_pull(session: Session, observed: Observed, image: Reference) -> str | None:
    """Raises `Refused` when the site can't pull `image`; returns a note when that is unknown.

    Two requests: the registry and its role assignments. There are more where the registry lies in
    another subscription, or the site signs in with a user name.
    """
    site = observed.id
    host = image.registry
    how = pull_access.pull_method(
        site, observed.resource, _configuration(observed), observed.settings, host
    )
    if how.user is not None:
        return _try_login(session, observed, image, how.user)
    arm = Arm(session)
    registry = registries.locate(arm, site.subscription, host)
    if registry is None:
        principal = how.principal_id or placeholder("the site's principal id")
        names = ("--scope", placeholder("the registry's id"), "--assignee-object-id", principal)
        check = site.caller.command("role assignment list", *names, subscription=None)
        return (
            f"Registry '{host}' is in none of the subscriptions that you can see, so the right of "
            f"{site} to pull from it was not checked. An account that can see the registry can "
            f"check it with `{check}`."
        )
    return pull_access.check(arm, site, how, registry)


def _try_login(session: Session, observed: Observed, image: Reference, user: str) -> str | None:
    """Signs in as App Service does, with the user name and password of the app settings."""
    site = observed.id
    password = observed.settings.get("DOCKER_REGISTRY_SERVER_PASSWORD", "")
    if password.startswith("@Microsoft."):
        return f"{site} pulls with a password from a reference, so its sign-in was not checked."
    try:
        with session.open_registry(image.registry, Basic(user, password)) as client:
            client.head_manifest(image.repository, image.selector)
    except Unauthorized:
        raise Refused(
            f"{site} can't pull {image} as '{user}': the registry rejects the app settings "
            "DOCKER_REGISTRY_SERVER_USERNAME and DOCKER_REGISTRY_SERVER_PASSWORD.",
            "Correct them. For an admin user, check that it is enabled: "
            f"`{registries.acr_command(session, image.registry, 'credential show')}`.",
        ) from None
    return None


def _configuration(observed: Observed) -> Json:
    """How the site, or its main site container, signs in to the registry."""
    if observed.container is None:
        return observed.configuration
    kind = str(observed.container_properties.get("authType") or "Anonymous")
    if kind == "UserCredentials":
        site = observed.id
        names = ("--container-name", observed.container, "--system-assigned-identity", "true")
        raise Refused(
            f"The main container '{observed.container}' of {site} pulls with a user name and a "
            "password. Azure doesn't show that password, and writing the container's new image "
            "without it would lose it.",
            "Let it pull with the site's identity: "
            f"`{site.command('webapp sitecontainers update', *names)}`.",
        )
    return {
        "acrUseManagedIdentityCreds": kind in ("SystemIdentity", "UserAssigned"),
        "acrUserManagedIdentityID": observed.container_properties.get(
            "userManagedIdentityClientId"
        ),
    }


def check_grace(launcher: Launcher, settings: Mapping[str, str]) -> str | None:
    """A warning where the grace of the launcher `drain` is longer than App Service waits."""
    if launcher.kind != "drain":
        return None
    value = settings.get(STOP_LIMIT_SETTING, "").strip()
    limit = whole_number(value, 10**9)
    limit = DEFAULT_STOP_LIMIT if limit is None else limit
    if launcher.grace + _APP_SECONDS <= limit:
        return None
    return (
        f"App Service kills a container {limit} s after the stop signal. The app's own shutdown "
        f"and the collector's grace of {launcher.grace} s take longer. Give a smaller --grace, or "
        f"set {STOP_LIMIT_SETTING} to {launcher.grace + 3} or more."
    )
