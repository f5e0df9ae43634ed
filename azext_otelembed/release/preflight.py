"""What would stop a release, found before anything is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from azext_otelembed.azure import access, acr
from azext_otelembed.azure.arm import Arm, Json
from azext_otelembed.errors import NotFound, Refused, Unauthorized
from azext_otelembed.image.reference import Reference

if TYPE_CHECKING:
    from azext_otelembed.azure.session import Session
    from azext_otelembed.release.observe import Observed


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

    Two requests: the registry, and who may do what there.
    """
    site = observed.id
    host = Reference.parse(image).registry
    how = access.puller(site, observed.resource, _configuration(observed), observed.settings, host)
    arm = Arm(session)
    try:
        registry = acr.find(arm, site.subscription, host)
    except (NotFound, Unauthorized):
        return (
            f"Registry '{host}' can't be seen in subscription '{site.subscription}': whether "
            f"{site} may pull from it wasn't checked."
        )
    return access.check(arm, site, how, registry)


def _configuration(observed: Observed) -> Json:
    """How the site, or the main one of its site containers, signs in to the registry."""
    if observed.container is None:
        return observed.configuration
    kind = str(observed.container_properties.get("authType") or "Anonymous")
    return {
        "acrUseManagedIdentityCreds": kind in ("SystemIdentity", "UserAssigned"),
        "acrUserManagedIdentityID": observed.container_properties.get(
            "userManagedIdentityClientId"
        ),
    }
