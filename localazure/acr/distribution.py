"""Handlers of the distribution protocol: manifests, blobs, tags, catalog, referrers."""

from __future__ import annotations

import hashlib
import re
import uuid
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from localazure.acr import manifests
from localazure.acr.call import Call
from localazure.acr.store import DIGEST, Manifest

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_OCTETS = "application/octet-stream"
_RATE = {"x-ms-ratelimit-remaining-calls-per-second": "8.000000"}


async def version(call: Call) -> Response:
    """GET /v2/ with a token: the registry speaks this protocol."""
    return call.responses.json({})


async def get_manifest(call: Call) -> Response:
    """GET and HEAD of a manifest by tag or digest: its exact bytes."""
    found = call.store.get_manifest(call.login, call.name, call.reference)
    if found is None:
        key, how = ("Digest", "with digest") if ":" in call.reference else ("Tag", "tagged by")
        text = f'manifest {how} "{call.reference}" is not found'
        detail = {key: call.reference}
        return call.responses.error(404, "MANIFEST_UNKNOWN", text, detail)
    digest, media_type, data = found
    headers = {"docker-content-digest": digest, "etag": f'"{digest}"'}
    return call.responses.plain(200, headers, data, media_type)


async def put_manifest(call: Call) -> Response:
    """PUT of a manifest by tag or digest; 400 if the repository lacks a part of it."""
    data = await call.request.body()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    by_digest = ":" in call.reference
    if by_digest and call.reference != digest:
        text = "provided digest did not match uploaded content"
        return call.responses.error(400, "DIGEST_INVALID", text)
    if not by_digest and not _TAG.fullmatch(call.reference):
        return call.responses.error(400, "TAG_INVALID", "manifest tag did not match URI")
    parsed = manifests.parse(data, call.request.headers.get("content-type"))
    if isinstance(parsed, manifests.Refusal):
        return call.responses.error(400, parsed.code, parsed.message, parsed.detail)
    document, media_type = parsed
    refusal = manifests.check(call.store, call.login, call.name, document, media_type)
    if refusal:
        return call.responses.error(400, refusal.code, refusal.message, refusal.detail)
    tag = None if by_digest else call.reference
    call.store.put_manifest(call.login, call.name, data, media_type, document, tag)
    headers = {
        "docker-content-digest": digest,
        "location": call.link(f"/v2/{call.name}/manifests/{digest}"),
    }
    subject = document.get("subject")
    if subject and call.registry.referrers:
        headers["oci-subject"] = subject["digest"]
    return call.responses.plain(201, headers)


async def delete_manifest(call: Call) -> Response:
    """DELETE by digest: the manifest and its tags. By tag, the tag alone."""
    by_digest = ":" in call.reference
    delete = call.store.delete_manifest if by_digest else call.store.delete_tag
    if not delete(call.login, call.name, call.reference):
        text = f'manifest "{call.reference}" is not found'
        return call.responses.error(404, "MANIFEST_UNKNOWN", text)
    return call.responses.plain(202, _RATE)


async def get_blob(call: Call) -> Response:
    """HEAD of a blob: its size; GET: a redirect to a signed address of blob storage."""
    digest = call.reference
    if not call.store.has_blob(call.login, call.name, digest):
        detail = {"digest": digest}
        return call.responses.error(404, "BLOB_UNKNOWN", "blob unknown to registry", detail)
    headers = {"docker-content-digest": digest}
    if call.request.method == "HEAD":
        size = call.store.open_blob(digest).stat().st_size
        return call.responses.plain(200, {**headers, "content-length": str(size)}, b"", _OCTETS)
    hex_ = digest.removeprefix("sha256:")
    rid = uuid.uuid5(uuid.NAMESPACE_DNS, call.registry.name).hex
    path = f"/{rid}-lrs//docker/registry/v2/blobs/sha256/{hex_[:2]}/{hex_}/data"
    location = f"{call.double.blobs}{path}?{call.double.signer.query(path, rid)}"
    page = f'<a href="{location.replace("&", "&amp;")}">Temporary Redirect</a>.\n\n'.encode()
    headers["location"] = location
    return call.responses.plain(307, headers, page, "text/html; charset=utf-8")


async def delete_blob(call: Call) -> Response:
    """DELETE of a blob."""
    if not call.store.delete_blob(call.login, call.name, call.reference):
        return call.responses.error(404, "BLOB_UNKNOWN", "blob unknown to registry")
    return call.responses.plain(202, _RATE)


async def list_tags(call: Call) -> Response:
    """GET tags/list, in pages of `n` if requested."""
    names, link = page(call, sorted(call.filled().tags), f"/v2/{call.name}/tags/list")
    return call.responses.json({"name": call.name, "tags": names}, headers=link)


async def catalog(call: Call) -> Response:
    """GET _catalog, in pages of `n`."""
    path = call.request.url.path
    names, link = page(call, call.store.repositories(call.login), path)
    return call.responses.json({"repositories": names}, headers=link)


async def referrers(call: Call) -> Response:
    """GET referrers: descriptors of the manifests whose `subject` is this digest, in pages.

    A page is cut before it is filtered, as a registry may do it: so pages can be empty.
    """
    if not call.registry.referrers:
        return call.responses.error(404, "NOT_FOUND", "page not found")
    if not DIGEST.fullmatch(call.reference):
        return call.responses.error(400, "DIGEST_INVALID", "invalid digest")
    repository = call.repository()
    everything = call.store.referrers(call.login, call.name, call.reference)
    query = call.request.query_params
    path = f"/v2/{call.name}/referrers/{call.reference}"
    limit = call.registry.page_size or len(everything)
    digests, link = _cut(call, everything, path, limit, {"artifactType": query.get("artifactType")})
    manifests_ = repository.manifests if repository else {}
    found = [_referrer(manifests_[digest]) for digest in digests]
    wanted = query.get("artifactType")
    headers = dict(link)
    if wanted:
        found = [descriptor for descriptor in found if descriptor["artifactType"] == wanted]
        headers["oci-filters-applied"] = "artifactType"
    index = {"schemaVersion": 2, "mediaType": manifests.OCI_INDEX, "manifests": found}
    response = call.responses.json(index, headers=headers)
    response.headers["content-type"] = manifests.OCI_INDEX
    return response


def page(call: Call, names: list[str], path: str) -> tuple[list[str], dict[str, str]]:
    """At most `n` names after `last`, and the Link header if more follow.

    ACR's pages have 100 entries by default (Azure/azure-powershell#16032) and 1,000 at most
    (Azure/acr#749).
    """
    query = call.request.query_params
    asked = query.get("n", "")
    limit = int(asked) if asked.isdigit() and int(asked) > 0 else 100
    limit = min(limit, call.registry.page_size or 1000)
    return _cut(call, names, path, limit, {"orderby": query.get("orderby", "")})


def _cut(
    call: Call, names: list[str], path: str, limit: int, kept: dict[str, str | None]
) -> tuple[list[str], dict[str, str]]:
    """At most `limit` names after the one that `last` names, with the Link header.

    `last` may be gone since: the page then starts where it stood, if the names are sorted.
    """
    last = call.request.query_params.get("last", "")
    if last in names:
        rest = names[names.index(last) + 1 :]
    else:
        rest = [name for name in names if name > last] if last else names
    shown = rest[:limit]
    if len(rest) <= limit:
        return shown, {}
    query = {key: value for key, value in kept.items() if value is not None}
    follow = f"{path}?{urlencode({'last': shown[-1], 'n': limit, **query})}"
    if call.registry.absolute_links:
        follow = f"https://{call.login}{follow}"
    return shown, {"link": f'<{follow}>; rel="next"'}


def _referrer(manifest: Manifest) -> dict[str, Any]:
    document = manifest.document
    config = (document.get("config") or {}).get("mediaType", "")
    descriptor = {
        "mediaType": manifest.media_type,
        "digest": manifest.digest,
        "size": len(manifest.data),
        "artifactType": document.get("artifactType") or config,
    }
    annotations = document.get("annotations")
    return {**descriptor, "annotations": annotations} if annotations else descriptor
