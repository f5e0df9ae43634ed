"""Which app image the caller means: by --image and --registry, else what the site runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from azext_otelembed.az_commands import placeholder
from azext_otelembed.azure import registries
from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.session import Session
from azext_otelembed.errors import InvalidInput, Refused, about
from azext_otelembed.image.reference import Reference
from azext_otelembed.webapp.observe import Observed


def image_for_site(
    session: Session, observed: Observed, image: str | None, registry: str | None
) -> Reference:
    """The image for a site, its registry spelt as the site's settings spell it.

    Without `image` it is the image that the site runs. An `image` without a host lies in
    `registry`, else in the registry of the image that the site runs. It has a tag or a digest only
    if the text has one. Raises `InvalidInput` and `NotFound`, and `Refused` for an image that isn't
    in an Azure container registry.
    """
    current = parse_reference(observed.image, f"The image of {observed.id}")
    if image is None:
        reference = current
        host = current.registry.lower() if registry is None else _host_of(session, registry)
        if host != current.registry.lower():
            raise InvalidInput(
                f"--registry '{registry}' is {host}, but {observed.id} runs {observed.image}.",
                "Name the image in that registry with --image repository:tag.",
            )
    else:
        reference = _in_registry(session, image, registry, current.registry)
    spelt = host_as_configured(reference.registry, observed.settings)
    reference = replace(reference, registry=spelt)
    _check_is_acr(session, reference)
    return reference


def image_in_registry(session: Session, image: str, registry: str | None) -> Reference:
    """The image named by `image`, whose host is in it or in `registry`. Errors as above."""
    if registry is None and not _has_host(image):
        raise InvalidInput(
            f"--image '{image}' doesn't name a registry.",
            "Name it with --registry, or write the image as `<registry>.azurecr.io/<name>:<tag>`.",
        )
    reference = _in_registry(session, image, registry, "")
    _check_is_acr(session, reference)
    return reference


def _check_is_acr(session: Session, reference: Reference) -> None:
    reference = reference.or_latest()
    if not session.is_acr(reference.registry):
        copy = session.command(
            "acr import", "-n", placeholder("registry"), "--source", str(reference)
        )
        raise Refused(
            f"{reference} is not in an Azure container registry: the collector is embedded "
            "inside the registry, so the app image has to be in one.",
            f"Copy it there with `{copy}`, then name it with "
            "--image <registry>.azurecr.io/<repository>:<tag>.",
        )


def parse_reference(text: str, what: str) -> Reference:
    """The reference in `text`. Raises an InvalidImage that starts with `what`."""
    with about(what):
        return Reference.parse(text)


def _in_registry(session: Session, image: str, registry: str | None, default: str) -> Reference:
    host = default if registry is None else _host_of(session, registry)
    if not _has_host(image):
        return parse_reference(f"{host}/{image}", "--image")
    reference = parse_reference(image, "--image")
    if registry is not None and host != reference.registry.lower():
        raise InvalidInput(
            f"--image '{image}' isn't in the registry '{registry}' ({host}).",
            "Omit --registry, or the host in --image.",
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
