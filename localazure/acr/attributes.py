"""Handlers of `/acr/v1`: the attributes of repositories, tags and manifests."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from starlette.responses import Response

from localazure.acr import manifests
from localazure.acr.call import Call
from localazure.acr.distribution import page
from localazure.acr.store import Manifest, Repository, Store, Tag

_NAMES = ("deleteEnabled", "writeEnabled", "readEnabled", "listEnabled")


async def get_repository(call: Call) -> Response:
    """GET /acr/v1/{name}."""
    repository = call.filled()
    counts = {"manifestCount": len(repository.manifests), "tagCount": len(repository.tags)}
    times = {"createdTime": repository.created, "lastUpdateTime": repository.updated}
    return call.responses.json({**_head(call), **times, **counts, **_changeable()})


async def delete_repository(call: Call) -> Response:
    """DELETE /acr/v1/{name}: 202 and the deleted manifests and tags."""
    repository = call.filled()
    gone = {
        "manifestsDeleted": sorted(repository.manifests),
        "tagsDeleted": sorted(repository.tags),
    }
    call.store.delete_repository(call.login, call.name)
    return call.responses.json(gone, 202)


async def list_tags(call: Call) -> Response:
    """GET /acr/v1/{name}/_tags, by name or by time (`orderby=timedesc`), or of one `digest`."""
    repository = call.filled()
    digest = call.request.query_params.get("digest")
    tags = {t.name: t for t in repository.tags.values() if digest in (None, t.digest)}
    order = _ordered(call, {name: tag.updated for name, tag in tags.items()})
    names, link = page(call, order, f"/acr/v1/{quote(call.name, safe='')}/_tags")
    shown = [_tag(tags[name]) for name in names]
    return call.responses.json({**_head(call), "tags": shown}, headers=link)


async def get_tag(call: Call) -> Response:
    """GET /acr/v1/{name}/_tags/{tag}."""
    repository = call.repository()
    tag = repository.tags.get(call.reference) if repository else None
    if tag is None:
        return _unknown_tag(call)
    return call.responses.json({**_head(call), "tag": _tag(tag)})


async def delete_tag(call: Call) -> Response:
    """DELETE /acr/v1/{name}/_tags/{tag}: 202; the manifest stays."""
    if not call.store.delete_tag(call.login, call.name, call.reference):
        return _unknown_tag(call)
    return call.responses.plain(202)


async def list_manifests(call: Call) -> Response:
    """GET /acr/v1/{name}/_manifests."""
    repository = call.filled()
    order = _ordered(call, {m.digest: m.updated for m in repository.manifests.values()})
    digests, link = page(call, order, f"/acr/v1/{quote(call.name, safe='')}/_manifests")
    shown = [_manifest(call.store, repository, repository.manifests[d]) for d in digests]
    return call.responses.json({**_head(call), "manifests": shown}, headers=link)


async def get_manifest(call: Call) -> Response:
    """GET /acr/v1/{name}/_manifests/{digest}."""
    repository = call.repository()
    manifest = repository.manifests.get(call.reference) if repository else None
    if repository is None or manifest is None:
        text = f'manifest with digest "{call.reference}" is not found'
        return call.responses.error(404, "MANIFEST_UNKNOWN", text, {"Digest": call.reference})
    return call.responses.json(
        {**_head(call), "manifest": _manifest(call.store, repository, manifest)}
    )


def _head(call: Call) -> dict[str, str]:
    return {"registry": call.login, "imageName": call.name}


def _changeable() -> dict[str, Any]:
    return {"changeableAttributes": dict.fromkeys(_NAMES, True)}


def _unknown_tag(call: Call) -> Response:
    text = f'the specified tag does not exist: "{call.reference}"'
    return call.responses.error(404, "TAG_UNKNOWN", text)


def _ordered(call: Call, times: dict[str, str]) -> list[str]:
    """Names in the requested order; `last` of a page requires the order of names."""
    order = call.request.query_params.get("orderby", "")
    if order in ("timedesc", "timeasc"):
        return sorted(times, key=lambda name: times[name], reverse=order == "timedesc")
    return sorted(times)


def _tag(tag: Tag) -> dict[str, Any]:
    times = {"createdTime": tag.created, "lastUpdateTime": tag.updated, "signed": False}
    return {"name": tag.name, "digest": tag.digest, **times, **_changeable()}


def _manifest(store: Store, repository: Repository, manifest: Manifest) -> dict[str, Any]:
    document = manifest.document
    parts = [document.get("config") or {}, *document.get("layers", [])]
    shown: dict[str, Any] = {
        "digest": manifest.digest,
        "imageSize": sum(part.get("size", 0) for part in parts),
        "createdTime": manifest.created,
        "lastUpdateTime": manifest.updated,
        **_platform(store, document),
        "mediaType": manifest.media_type,
    }
    tags = repository.tagged(manifest.digest)
    return {**shown, **({"tags": tags} if tags else {}), **_changeable()}


def _platform(store: Store, document: dict[str, Any]) -> dict[str, str]:
    """The platform in an image's config; empty for indexes and artifacts."""
    config = document.get("config") or {}
    if not str(config.get("mediaType", "")).endswith(("image.v1+json", "image.config.v1+json")):
        return {}
    found = json.loads(store.open_blob(manifests.blobs(document)[0]).read_bytes())
    return {key: found[key] for key in ("architecture", "os") if key in found}
