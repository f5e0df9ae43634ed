"""One registry: manifests, blobs, tags (OCI distribution spec 1.1). Uploads: `transfer`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urljoin

from azext_otelembed.az_commands import DEFAULT
from azext_otelembed.deadline import Deadline
from azext_otelembed.errors import InvalidImage, NotFound, OtelembedError, RegistryFailed
from azext_otelembed.image.manifest import ACCEPT
from azext_otelembed.image.reference import DOCKER_HUB, Digest
from azext_otelembed.redaction import Secrets
from azext_otelembed.registry import endpoints, error_responses, response_json
from azext_otelembed.registry.auth import Anonymous, Credential
from azext_otelembed.registry.http_headers import next_page
from azext_otelembed.registry.http_pipeline import HttpPipeline
from azext_otelembed.registry.policies import RequestOptions, RetryOptions
from azext_otelembed.registry.response import IncompleteBody, RegistryResponse
from azext_otelembed.registry.scope import Scope, describe, pull
from azext_otelembed.urls import origin, resolve_safe

Page = TypeVar("Page")

_DOCKER_HUB_API = "registry-1.docker.io"
_ACCEPT = {"Accept": ", ".join(ACCEPT)}
_ATTEMPTS = 4
"""Reads of content that doesn't match its digest."""
MAX_PAGES = 10_000
"""A list with more pages is taken for endless."""


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A manifest in the registry. `data` are its exact bytes, empty after a HEAD."""

    digest: Digest
    media_type: str
    data: bytes = field(default=b"", repr=False)


class RegistryClient:
    """Calls to one registry with one credential. Threads may share it; close it when done.

    Every method raises `NotFound`, `Unauthorized` or `RegistryFailed`; none of their messages holds
    a token or a signed address. `transport` holds keyword arguments for azure-core's transport;
    `acr_command` makes the command `az acr VERB OPTIONS` for the registry, for hints in errors;
    `prune_command` is the one that deletes old records from it.
    `secrets` are masked in the registry's messages; passwords and tokens are added to them.
    `deadline` is the command's.
    """

    def __init__(
        self,
        host: str,
        credential: Credential | None = None,
        *,
        scheme: str = "https",
        retry: RetryOptions | None = None,
        transport: Mapping[str, Any] | None = None,
        acr_command: Callable[..., str] | None = None,
        prune_command: str | None = None,
        secrets: Secrets | None = None,
        deadline: Deadline | None = None,
    ) -> None:
        self.host = host
        self.acr_command = acr_command or partial(DEFAULT.acr_command, host)
        prune = ("otelembed prune", "--registry", host, "--delete")
        self.prune_command = prune_command or DEFAULT.command(*prune, subscription=None)
        self.retry = retry or RetryOptions()
        self.secrets = secrets or Secrets()
        self.deadline = deadline or Deadline()
        self.http = HttpPipeline(
            host,
            credential or Anonymous(),
            origin=f"{scheme}://{_DOCKER_HUB_API if host == DOCKER_HUB else host}",
            retry=self.retry,
            transport=transport or {},
            secrets=self.secrets,
            deadline=self.deadline,
        )

    def __enter__(self) -> RegistryClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self.http.close()

    def declare_scopes(self, *scopes: Scope) -> None:
        """Request these rights with the next token, so that one token serves later calls too."""
        self.http.tokens.declare(scopes)

    def head_manifest(self, repository: str, ref: str | Digest) -> StoredManifest | None:
        """The manifest of a tag or digest, without its bytes; None where there is none.

        Reads the whole manifest where the registry sends no digest.
        """
        url, options = endpoints.manifest(repository, ref)
        response = self.request("HEAD", url, options, 200, 404, headers=_ACCEPT)
        if response.status == 404:
            return None
        digest = self._digest(response, options.what)
        if digest is None:
            return self.get_manifest(repository, ref)
        return StoredManifest(digest, _media_type(response))

    def get_manifest(
        self, repository: str, ref: str | Digest, limit: int = endpoints.MANIFEST_LIMIT
    ) -> StoredManifest:
        """A manifest or index of at most `limit` bytes, checked against its digest."""
        url, options = endpoints.manifest(repository, ref, body_limit=limit)
        return self._get(url, options, ref if isinstance(ref, Digest) else None, _ACCEPT)

    def put_manifest(
        self, repository: str, ref: str | Digest, data: bytes, media_type: str
    ) -> RegistryResponse:
        """Store a manifest under a tag or its digest, after everything that it refers to."""
        url, options = endpoints.manifest(repository, ref, write=True)
        headers = {"Content-Type": media_type}
        response = self.request("PUT", url, options, 201, 200, 202, headers=headers, content=data)
        digest = Digest.of(data)
        stored = self._digest(response, options.what)
        if stored is not None and stored != digest and stored.algorithm == digest.algorithm:
            raise error_responses.corrupt(self.host, options.what)
        return response

    def tags(self, repository: str) -> list[str]:
        """All tags of a repository. Raises `NotFound` for a repository that doesn't exist."""
        options = RequestOptions(f"tags of repository '{repository}'", (pull(repository),))

        def read(response: RegistryResponse) -> list[str]:
            page = response_json.tags(response.body)
            if page is None:
                raise error_responses.unknown_format(self.host, options.what)
            return page

        pages = self.pages(f"/v2/{repository}/tags/list", options, read, 200)
        return [tag for page in pages for tag in page]

    def delete_manifest(self, repository: str, digest: Digest) -> None:
        """Delete a manifest with its tags; one that is gone already is no error."""
        url, options = endpoints.manifest(repository, digest, delete=True)
        self.request("DELETE", url, options, 202, 200, 204, 404)

    def has_blob(self, repository: str, digest: Digest) -> bool:
        """Whether the repository holds a blob."""
        url, options = endpoints.blob(repository, digest)
        return self.request("HEAD", url, options, 200, 404).status == 200

    def get_blob(
        self, repository: str, digest: Digest, limit: int = endpoints.MANIFEST_LIMIT
    ) -> bytes:
        """A whole blob of at most `limit` bytes, checked against its digest."""
        url, options = endpoints.blob(repository, digest, body_limit=limit)
        return self._get(url, options, digest).data

    def stream_blob(
        self, repository: str, digest: Digest, size: int | None = None
    ) -> Generator[bytes, None, None]:
        """A blob chunk by chunk, resumed after a cut connection; its digest is checked at the end.

        The chunks are unverified until the iterator has ended. `size` is the size in the blob's
        descriptor: a longer blob is an error.
        """
        url, options = endpoints.blob(repository, digest, stream=True)
        check = hashlib.new(digest.algorithm)
        count = 0
        for chunk in self._chunks(url, options):
            count += len(chunk)
            if size is not None and count > size:
                raise error_responses.oversized(self.host, options.what, size)
            check.update(chunk)
            yield chunk
        if check.hexdigest() != digest.hex:
            raise error_responses.corrupt(self.host, options.what)

    def _chunks(self, url: str, options: RequestOptions) -> Iterator[bytes]:
        """The bytes of a blob; after a cut the rest is requested."""
        offset = cuts = 0
        while True:
            headers = {"Range": f"bytes={offset}-"} if offset else {}
            response = self.request("GET", url, options, 200, 206, 416, headers=headers)
            if response.status == 416:  # the offset is the end of the blob
                return
            # A server may ignore Range and send everything (RFC 9110, 14.2).
            skip = offset if response.status == 200 else 0
            start = offset
            try:
                with closing(response.chunks()) as chunks:
                    for chunk in chunks:
                        piece = chunk[skip:]
                        skip -= len(chunk) - len(piece)
                        offset += len(piece)
                        if piece:
                            yield piece
            except IncompleteBody as cut:
                reason = cut.message
            else:
                return
            cuts = 1 if offset > start else cuts + 1
            if cuts >= self.retry.attempts:
                raise error_responses.unreachable(self.host, options.what, reason, cuts)
            self.deadline.sleep(self.retry.delay(cuts), f"{options.what} could be requested again")

    def request(
        self,
        method: str,
        url: str,
        options: RequestOptions,
        *statuses: int,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> RegistryResponse:
        """Send a request; raises the error of any response whose status isn't in `statuses`."""
        response = self.http.send(method, url, options, headers=headers, content=content)
        if response.status not in statuses:
            raise self.error(response, options)
        return response

    def pages(
        self,
        url: str,
        options: RequestOptions,
        read: Callable[[RegistryResponse], Page],
        *statuses: int,
    ) -> Iterator[Page]:
        """What `read` makes of each page of a list; it may stream the body (`options.stream`).

        Follows the Link header (OCI distribution spec 1.1, "Listing Tags" and "Listing
        Referrers"), absolute or relative to the page (RFC 8288). `statuses` are those of the first
        page. A list that isn't read to its end is an error, and never `NotFound`: a page that can't
        be read, a link to another host or to a page before, and more than `MAX_PAGES` pages.
        """
        url = urljoin(self.http.origin, url)
        visited: set[str] = set()
        while url not in visited and len(visited) < MAX_PAGES:
            try:
                response, page = self._page(url, options, read, statuses if not visited else (200,))
            except NotFound as missing:
                if not visited:
                    raise
                raise RegistryFailed(
                    f"Registry '{self.host}' sends {options.what} in pages, and has no page "
                    f"{len(visited) + 1}: {missing.message}",
                    "Run the same command again.",
                ) from None
            visited.add(url)
            yield page
            link = next_page(response.headers.get("Link"))
            if link is None:
                return
            following = resolve_safe(url, link)
            if following is None or origin(following) != origin(self.http.origin):
                raise RegistryFailed(
                    f"Registry '{self.host}' names a next page of {options.what} that isn't its "
                    "own."
                )
            url = following
        raise RegistryFailed(
            f"Registry '{self.host}' sends {options.what} in pages without an end: page "
            f"{len(visited) + 1} " + ("was there before." if url in visited else "is one too many.")
        )

    def _page(
        self,
        url: str,
        options: RequestOptions,
        read: Callable[[RegistryResponse], Page],
        statuses: tuple[int, ...],
    ) -> tuple[RegistryResponse, Page]:
        """One page; it is requested again if its body is incomplete."""
        for attempt in range(1, self.retry.attempts + 1):
            response = self.request("GET", url, options, *statuses)
            try:
                return response, read(response)
            except IncompleteBody as cut:
                reason = cut.message
            self.deadline.sleep(self.retry.delay(attempt), f"registry '{self.host}' answered")
        raise error_responses.unreachable(self.host, options.what, reason, attempt)

    def error(self, response: RegistryResponse, options: RequestOptions) -> OtelembedError:
        """The error of a response with an unexpected status."""
        body, needs = (
            (response.body, describe(options.scopes)) if response.by_registry else (b"", "")
        )
        return error_responses.error_for(
            self.host,
            options.what,
            response.status,
            response.headers,
            body,
            needs=needs,
            acr_command=self.acr_command,
            secrets=self.secrets,
        )

    def _get(
        self,
        url: str,
        options: RequestOptions,
        digest: Digest | None,
        headers: Mapping[str, str] | None = None,
    ) -> StoredManifest:
        """Content checked against `digest`, or else against the digest that the registry sends."""
        for _ in range(_ATTEMPTS):
            response = self.request("GET", url, options, 200, headers=headers)
            wanted = digest or self._digest(response, options.what) or Digest.of(response.body)
            if hashlib.new(wanted.algorithm, response.body).hexdigest() == wanted.hex:
                return StoredManifest(wanted, _media_type(response), response.body)
        raise error_responses.corrupt(self.host, options.what)

    def _digest(self, response: RegistryResponse, what: str) -> Digest | None:
        """The digest in the response's header."""
        header = response.headers.get("Docker-Content-Digest")
        try:
            return Digest.parse(header) if header else None
        except InvalidImage:
            raise RegistryFailed(
                f"Registry '{self.host}' sends an invalid digest for {what}."
            ) from None


def _media_type(response: RegistryResponse) -> str:
    return response.headers.get("Content-Type", "").partition(";")[0].strip()
