"""Copies images from OCI layouts on disk into the store."""

from __future__ import annotations

import json
from pathlib import Path

from localazure.acr import manifests
from localazure.acr.store import Store

_TAG = "org.opencontainers.image.ref.name"


def push(store: Store, login: str, repo: str, layout: Path, tag: str | None = None) -> str:
    """Put the image of a layout into a repository; returns its digest.

    It takes the layout's entry with the name `tag`, else its only one. Raises ValueError without
    such an entry, and FileNotFoundError for one that lacks a blob.
    """
    entries = json.loads((layout / "index.json").read_bytes())["manifests"]
    named = [e for e in entries if (e.get("annotations") or {}).get(_TAG) == tag]
    chosen = named or entries
    if len(chosen) != 1:
        raise ValueError(f"{layout} holds {len(entries)} images, and none is called {tag}.")
    descriptor = chosen[0]
    return _put(store, login, repo, layout, descriptor["digest"], descriptor["mediaType"], tag)


def _put(
    store: Store, login: str, repo: str, layout: Path, digest: str, media_type: str, tag: str | None
) -> str:
    data = _blob(layout, digest).read_bytes()
    document = json.loads(data)
    for child in document.get("manifests", []):
        _put(store, login, repo, layout, child["digest"], child["mediaType"], None)
    for blob in manifests.blobs(document):
        store.put_blob(_blob(layout, blob))
        store.link_blob(login, repo, blob)
    return store.put_manifest(login, repo, data, media_type, document, tag)


def _blob(layout: Path, digest: str) -> Path:
    return layout.joinpath("blobs", *digest.split(":"))
