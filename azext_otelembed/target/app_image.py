"""Which app image the caller means: by --image and --registry, else what the site runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from azext_otelembed.azure import registries
from azext_otelembed.azure.arm import Arm
from azext_otelembed.errors import InvalidImage, InvalidInput, Refused
from azext_otelembed.image.reference import Reference
from azext_otelembed.webapp.observe import Observed

if TYPE_CHECKING:
    from azext_otelembed.azure.session import Session


def image_for_site(
    session: Session, observed: Observed, image: str | None, registry: str | None
) -> Reference:
    """The image for a site, its registry spelt as the site's settings do; `latest` if untagged.

    Without a host, `image` lies in the registry named, else in that of the image that runs.
    Raises `InvalidInput` and `NotFound`, and `Refused` for one that isn't in an ACR.
    """
    runs = parsed(observed.image, f"The image of {observed.id}")
    if image is None:
        reference = runs
        if registry is not None and (host := _host_of(session, registry)) != runs.registry.lower():
            raise InvalidInput(
                f"--registry '{registry}' is {host}, but {observed.id} runs {observed.image}.",
                "Name the image in that registry with --image repository:tag.",
            )
    else:
        reference = _named(session, image, registry, runs.registry)
    spelt = host_as_configured(reference.registry, observed.settings)
    reference = replace(reference.or_latest(), registry=spelt)
    check_is_acr(session, reference)
    return reference


def image_in_registry(session: Session, image: str, registry: str | None) -> Reference:
    """The image that `image`, with the host in it or in `registry`, names. As above."""
    if registry is None and not _has_host(image):
        raise InvalidInput(
            f"--image '{image}' doesn't say in which registry.",
            "Name it with --registry, or write the image as `<registry>.azurecr.io/<name>:<tag>`.",
        )
    reference = _named(session, image, registry, "").or_latest()
    check_is_acr(session, reference)
    return reference


def check_is_acr(session: Session, reference: Reference) -> None:
    """Raises `Refused` for an image that isn't in an Azure container registry."""
    if not session.is_acr(reference.registry):
        raise Refused(
            f"{reference} is not in an Azure container registry: the collector is embedded "
            "inside the registry, so the app image has to be in one.",
            f"Copy it there with `az acr import -n <registry> --source {reference}`, then "
            "name it with --image <registry>.azurecr.io/<repository>:<tag>.",
        )


def parsed(text: str, what: str) -> Reference:
    """The reference that `text` is. Raises `InvalidInput` that starts with `what`."""
    try:
        return Reference.parse(text)
    except InvalidImage as problem:
        raise InvalidInput(f"{what}: {problem.message}", problem.recommendation) from None


def _named(session: Session, image: str, registry: str | None, otherwise: str) -> Reference:
    host = otherwise if registry is None else _host_of(session, registry)
    if not _has_host(image):
        return parsed(f"{host}/{image}", "--image")
    reference = parsed(image, "--image")
    if registry is not None and host != reference.registry.lower():
        raise InvalidInput(
            f"--image '{image}' isn't in the registry '{registry}' ({host}).",
            "Leave --registry out, or the host out of --image.",
        )
    return reference


def _host_of(session: Session, registry: str) -> str:
    """The login server, in lower case, of a registry named with --registry."""
    return registries.find(Arm(session), session.subscription, registry).login_server.lower()


def _has_host(image: str) -> bool:
    first, slash, _ = image.partition("/")
    return bool(slash) and bool(re.search(r"[.:\[]|[A-Z]", first) or first == "localhost")


def host_as_configured(host: str, settings: Mapping[str, str]) -> str:
    """`host` as DOCKER_REGISTRY_SERVER_URL spells it.

    Terraform cuts that very spelling off the image's name: another one shows up as a change.
    """
    url = settings.get("DOCKER_REGISTRY_SERVER_URL", "")
    configured = url.partition("://")[2].rstrip("/") or url.rstrip("/")
    return configured if configured.lower() == host.lower() else host
