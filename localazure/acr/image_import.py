"""importImage: a registry copies an image from another registry."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from localazure.acr import access, manifests
from localazure.acr.access import Caller
from localazure.acr.store import Manifest, Repository
from localazure.arm import errors
from localazure.double import Double
from localazure.state import Registry

_SECONDS = 0.3
"""Minimum duration of an import, so that clients have to poll."""


@dataclass(frozen=True, slots=True)
class Import:
    """The source and the targets of a copy.

    `targets` are `repository:tag`; `untagged` repositories get the manifest without a tag.
    """

    source: Registry | None
    """None: the target registry itself."""
    repository: str
    reference: str
    """Tag or digest."""
    targets: tuple[str, ...]
    untagged: tuple[str, ...]
    force: bool
    caller: Caller
    """The puller: the ARM caller if the source is given by its id, else the credentials."""


def parse(double: Double, body: dict[str, Any], principal_id: str | None = None) -> Import:
    """The body of POST importImage. Raises ArmError 400."""
    source = body.get("source")
    if not isinstance(source, dict) or not source.get("sourceImage"):
        raise errors.registry(400, "InvalidParameters", "The source image is missing.")
    uri, resource = source.get("registryUri"), source.get("resourceId")
    registry = _by_id(double, resource) if resource else _by_host(double, uri) if uri else None
    if registry is None and (uri or resource):
        text = f"The source registry '{uri or resource}' could not be reached."
        raise errors.registry(400, "InvalidParameters", text)
    image = source["sourceImage"]
    if "@" in image and ":" in image.partition("@")[0]:
        # Only `repository`, `repository:tag` and `repository@digest` are documented.
        text = f"The source image '{image}' has both a tag and a digest."
        raise errors.registry(400, "InvalidParameters", text)
    repository, reference = _split(image)
    if registry and "docker.io" in registry.aliases and "/" not in repository:
        repository = f"library/{repository}"
    untagged = tuple(body.get("untaggedTargetRepositories") or ())
    targets = tuple(body.get("targetTags") or (() if untagged else (image,)))
    given = source.get("credentials") or {}
    user = given.get("username"), given.get("password")
    caller: Caller = (str(user[0] or ""), str(user[1] or "")) if user[1] else None
    if registry and resource and caller is None:
        caller = principal_id
    force = body.get("mode") == "Force"
    return Import(registry, repository, reference, targets, untagged, force, caller)


async def copy_image(double: Double, registry: Registry, wanted: Import) -> None:
    """Copy an image into `registry`, an index with all its platforms.

    Raises ArmError: 403 if the caller may not pull, 404 for an unknown image, 409 for a target
    tag that exists.
    """
    await asyncio.sleep(_SECONDS)
    source = wanted.source or registry
    if source is not registry:
        _check_access(double, source, wanted)
    repository = double.store.repository(source.login_server, wanted.repository)
    manifest = repository.find(wanted.reference) if repository else None
    if repository is None or manifest is None:
        image = f"{source.login_server}/{wanted.repository}:{wanted.reference}"
        raise errors.registry(404, "ManifestUnknown", f"The source image '{image}' was not found.")
    targets = [_split(target) for target in wanted.targets]
    for name, tag in targets:
        if not wanted.force and tag in double.store.tags(registry.login_server, name):
            text = f"Tag {name}:{tag} already exists in target registry."
            raise errors.registry(409, "Conflict", text)
    untagged: list[tuple[str, str | None]] = [(name, None) for name in wanted.untagged]
    for name, tag_or_none in [*targets, *untagged]:
        _copy(double, repository, manifest, registry.login_server, name, tag_or_none)


def _check_access(double: Double, source: Registry, wanted: Import) -> None:
    if not access.may_pull(double.state, source, wanted.repository, wanted.caller):
        text = f"Failed to authenticate to the source registry '{source.login_server}'."
        raise errors.registry(403, "Forbidden", text)


def _by_id(double: Double, resource_id: str) -> Registry | None:
    known = double.state.registries.values()
    return next(
        (r for r in known if double.state.registry_id(r).lower() == resource_id.lower()), None
    )


def _by_host(double: Double, uri: str) -> Registry | None:
    host = uri.removeprefix("https://").rstrip("/").lower()
    known = double.state.registries.values()
    return next((r for r in known if host in (r.login_server, *r.aliases)), None)


def _split(image: str) -> tuple[str, str]:
    """`a/b:1` or `a/b@sha256:…` as repository and reference; the tag is `latest` if left out."""
    name, at, digest = image.partition("@")
    if at:
        return name, digest
    name, _, tag = image.partition(":")
    return name, tag or "latest"


def _copy(
    double: Double, source: Repository, manifest: Manifest, login: str, target: str, tag: str | None
) -> None:
    for digest in manifests.children(manifest.document):
        child = source.manifests.get(digest)
        if child is not None:
            _copy(double, source, child, login, target, None)
    for digest in manifests.blobs(manifest.document):
        double.store.link_blob(login, target, digest)
    double.store.put_manifest(
        login, target, manifest.data, manifest.media_type, manifest.document, tag
    )
