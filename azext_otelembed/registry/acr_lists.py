"""An Azure container registry's own lists: repositories, and tags and manifests with attributes.

API of `/acr/v1` (azure-rest-api-specs, `containerregistry` data plane, 2021-07-01). Pages have 100
entries unless `n` asks for more, and 1,000 at most (Azure/acr#749).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image.reference import Digest
from azext_otelembed.registry import error_responses, response_json
from azext_otelembed.registry.client import RegistryClient
from azext_otelembed.registry.policies import RequestOptions
from azext_otelembed.registry.response import RegistryResponse
from azext_otelembed.registry.scope import Scope, catalog, metadata

_QUERY = "api-version=2021-07-01&n=1000"
_PAGE_LIMIT = 8 << 20
"""Bytes of a page: 1,000 manifests with attributes take 600 KB, and more with many tags."""
_TIME = re.compile(r"(.*?\d)(?:\.(\d{1,6})\d*)?Z", re.ASCII)

Entry = TypeVar("Entry")


@dataclass(frozen=True, slots=True)
class ListedManifest:
    """A manifest of a repository with its tags. `updated` changes with each push. Times are UTC.

    `media_type` is empty where the registry leaves it out.
    """

    digest: Digest
    media_type: str
    tags: tuple[str, ...]
    created: datetime
    updated: datetime


def repositories(client: RegistryClient) -> list[str]:
    """The names of all repositories."""
    what = f"the repositories of registry '{client.host}'"
    return _entries(client, what, "/acr/v1/_catalog", catalog(), "repositories", parse_text)


def tags(client: RegistryClient, repository: str) -> dict[str, Digest]:
    """The digests of a repository's tags. Raises `NotFound` for an unknown repository."""
    what = f"the tags of repository '{repository}'"
    path = f"/acr/v1/{quote(repository, safe='')}/_tags"
    return dict(_entries(client, what, path, metadata(repository), "tags", parse_tag))


def manifests(client: RegistryClient, repository: str) -> list[ListedManifest]:
    """A repository's manifests. Raises `NotFound` for an unknown repository."""
    what = f"the manifests of repository '{repository}'"
    path = f"/acr/v1/{quote(repository, safe='')}/_manifests"
    return _entries(client, what, path, metadata(repository), "manifests", parse_manifest)


def _entries(
    client: RegistryClient,
    what: str,
    path: str,
    scope: Scope,
    name: str,
    parse: Callable[[Any], Entry],
) -> list[Entry]:
    """All entries of a list. A page that can't be read as a whole, or that comes again, is an
    error: an entry that is left out must not be taken for one that isn't there.
    """
    options = RequestOptions(what, (scope,), body_limit=_PAGE_LIMIT)

    def read(response: RegistryResponse) -> list[Entry]:
        listed = response_json.entries(response.body, name)
        if listed is None:
            raise error_responses.unknown_format(client.host, what)
        try:
            return [parse(one) for one in listed]
        except (ValueError, InvalidImage):
            raise error_responses.unknown_format(client.host, what) from None

    found: dict[Entry, None] = {}
    for page in client.pages(f"{path}?{_QUERY}", options, read, 200):
        before = len(found)
        found.update(dict.fromkeys(page))
        if page and len(found) == before:
            raise error_responses.repeated_page(client.host, what)
    return list(found)


def parse_manifest(entry: Any) -> ListedManifest:
    """An entry of a list of manifests. Raises `ValueError` or `InvalidImage`."""
    values = _object(entry)
    named = values.get("tags") or []
    if not isinstance(named, list):
        raise ValueError("tags")  # noqa: TRY004  # as other malformed values
    created = _time(values.get("createdTime"))
    updated = values.get("lastUpdateTime")
    return ListedManifest(
        Digest.parse(parse_text(values.get("digest"))),
        str(values.get("mediaType") or ""),
        tuple(parse_text(one) for one in named),
        created,
        created if updated is None else _time(updated),
    )


def parse_tag(entry: Any) -> tuple[str, Digest]:
    """An entry of a list of tags. Raises `ValueError` or `InvalidImage`."""
    values = _object(entry)
    return parse_text(values.get("name")), Digest.parse(parse_text(values.get("digest")))


def _object(entry: Any) -> Mapping[str, Any]:
    if not isinstance(entry, dict):
        raise ValueError("object")  # noqa: TRY004  # as other malformed values
    return entry


def parse_text(value: Any) -> str:
    """A text that isn't empty. Raises `ValueError`."""
    if not isinstance(value, str) or not value:
        raise ValueError("text")
    return value


def _time(value: Any) -> datetime:
    """A time as ACR writes it: UTC with seven decimals or fewer."""
    found = _TIME.fullmatch(parse_text(value))
    if found is None:
        raise ValueError("time")
    return datetime.fromisoformat(f"{found[1]}.{(found[2] or '0'):0<6}+00:00")
