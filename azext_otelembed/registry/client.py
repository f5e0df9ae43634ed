"""One registry: manifests, blobs, mounts, tags (OCI distribution spec 1.1). Uploads: `transfer`."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from azext_otelembed.errors import InvalidImage, OtelembedError, RegistryFailed
from azext_otelembed.image.manifest import ACCEPT
from azext_otelembed.image.reference import DOCKER_HUB, Digest
from azext_otelembed.registry import endpoints, error_responses, response_json
from azext_otelembed.registry.auth import Anonymous, Credential
from azext_otelembed.registry.http_pipeline import Answer, CutShort, HttpPipeline
from azext_otelembed.registry.policies import Patience, Terms
from azext_otelembed.registry.scope import Scope, in_words, pull

_DOCKER_HUB_API = "registry-1.docker.io"
_ACCEPT = {"Accept": ", ".join(ACCEPT)}
_ATTEMPTS = 4


@dataclass(frozen=True, slots=True)
class Stored:
    """A manifest as the registry keeps it. `data` are its exact bytes, empty after a HEAD."""

    digest: Digest
    media_type: str
    data: bytes = field(default=b"", repr=False)


class RegistryClient:
    """Calls to one registry, for one caller. Threads may share it; close it when done.

    Every method raises `NotFound`, `Unauthorized` or `RegistryFailed`; none of their messages holds
    a token or a signed address. `transport` holds keyword arguments for azure-core's transport.
    """

    def __init__(
        self,
        host: str,
        credential: Credential | None = None,
        *,
        scheme: str = "https",
        patience: Patience | None = None,
        transport: Mapping[str, Any] | None = None,
    ) -> None:
        self.host = host
        self.patience = patience or Patience()
        self.wire = HttpPipeline(
            host,
            credential or Anonymous(),
            origin=f"{scheme}://{_DOCKER_HUB_API if host == DOCKER_HUB else host}",
            patience=self.patience,
            transport=transport or {},
        )

    def __enter__(self) -> RegistryClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self.wire.close()

    def expect(self, *scopes: Scope) -> None:
        """Say which rights are going to be needed, so that one token is asked for once."""
        self.wire.tokens.expect(scopes)

    # Manifests

    def head_manifest(self, repository: str, ref: str | Digest) -> Stored | None:
        """What a tag or digest stands for, without its bytes; None where there is nothing.

        Falls back to reading the manifest where the registry doesn't tell its digest.
        """
        terms = endpoints.manifest_terms(repository, ref)
        answer = self.wire.send("HEAD", endpoints.manifest(repository, ref), terms, headers=_ACCEPT)
        if answer.status == 404:
            return None
        self._expect(answer, terms, 200)
        told = answer.headers.get("Docker-Content-Digest")
        if told is None:
            return self.get_manifest(repository, ref)
        return Stored(self._digest(told, terms.what), _media_type(answer))

    def get_manifest(self, repository: str, ref: str | Digest) -> Stored:
        """A manifest or index with its exact bytes, checked against its digest."""
        terms = endpoints.manifest_terms(repository, ref)
        url = endpoints.manifest(repository, ref)
        for _ in range(_ATTEMPTS):
            answer = self.wire.send("GET", url, terms, headers=_ACCEPT)
            self._expect(answer, terms, 200)
            told = answer.headers.get("Docker-Content-Digest")
            wanted = ref if isinstance(ref, Digest) else told and self._digest(told, terms.what)
            found = Digest.of(answer.body)
            if not wanted or _matches(wanted, answer.body):
                return Stored(wanted or found, _media_type(answer), answer.body)
        raise error_responses.corrupt(self.host, terms.what)

    def put_manifest(
        self, repository: str, ref: str | Digest, data: bytes, media_type: str
    ) -> Digest:
        """Store a manifest under a tag or its digest. Everything it names has to be there."""
        terms = endpoints.manifest_terms(repository, ref, write=True)
        answer = self.wire.send(
            "PUT",
            endpoints.manifest(repository, ref),
            terms,
            headers={"Content-Type": media_type},
            content=data,
        )
        self._expect(answer, terms, 201, 200, 202)
        digest = Digest.of(data)
        told = answer.headers.get("Docker-Content-Digest")
        if told and self._digest(told, terms.what) != digest and told.startswith("sha256:"):
            raise error_responses.corrupt(self.host, terms.what)
        return digest

    def tags(self, repository: str) -> list[str]:
        """All tags of a repository, following the pages. Raises `NotFound` for no repository."""
        terms = Terms(f"tags of repository '{repository}'", (pull(repository),))
        url: str | None = f"/v2/{repository}/tags/list"
        found: list[str] = []
        for _ in range(1000):
            answer = self.wire.send("GET", url or "", terms)
            self._expect(answer, terms, 200)
            page = response_json.tags(answer.body)
            if page is None:
                raise RegistryFailed(f"Registry '{self.host}' lists {terms.what} in no known form.")
            found += page
            url = next_page(answer.headers.get("Link"))
            if not url:
                break
        return found

    # Blobs

    def has_blob(self, repository: str, digest: Digest) -> bool:
        """Whether the repository holds a blob."""
        terms = endpoints.blob_terms(repository, digest)
        answer = self.wire.send("HEAD", endpoints.blob(repository, digest), terms)
        if answer.status == 404:
            return False
        self._expect(answer, terms, 200)
        return True

    def get_blob(
        self, repository: str, digest: Digest, limit: int = endpoints.MANIFEST_LIMIT
    ) -> bytes:
        """A whole blob of at most `limit` bytes, checked against its digest."""
        terms = endpoints.blob_terms(repository, digest, limit=limit)
        for _ in range(_ATTEMPTS):
            answer = self.wire.send("GET", endpoints.blob(repository, digest), terms)
            self._expect(answer, terms, 200)
            if _matches(digest, answer.body):
                return answer.body
        raise error_responses.corrupt(self.host, terms.what)

    def stream_blob(
        self, repository: str, digest: Digest, size: int | None = None
    ) -> Iterator[bytes]:
        """A blob piece by piece, resumed where it breaks off, checked when it has been read whole.

        Nothing may be done for good with the pieces before the iterator has ended. `size` is what
        its descriptor says: no more than that is taken.
        """
        check = hashlib.new(digest.algorithm)
        count = 0
        for chunk in self._pieces(repository, digest):
            count += len(chunk)
            if size is not None and count > size:
                raise error_responses.oversized(self.host, f"blob {digest} of '{repository}'", size)
            check.update(chunk)
            yield chunk
        if check.hexdigest() != digest.hex:
            raise error_responses.corrupt(self.host, f"blob {digest} of '{repository}'")

    def _pieces(self, repository: str, digest: Digest) -> Iterator[bytes]:
        """The bytes, asking again for the rest after a cut."""
        terms = endpoints.blob_terms(repository, digest, stream=True)
        url = endpoints.blob(repository, digest)
        at = 0
        cuts = 0
        while True:
            headers = {"Range": f"bytes={at}-"} if at else {}
            answer = self.wire.send("GET", url, terms, headers=headers)
            if answer.status == 416:  # nothing lies past its end
                return
            self._expect(answer, terms, 200, 206)
            # A server may leave Range aside and send everything (RFC 9110, 14.2).
            skip = at if answer.status == 200 else 0
            began = at
            chunks = answer.chunks()
            try:
                for chunk in chunks:
                    if skip >= len(chunk):
                        skip -= len(chunk)
                        continue
                    piece = chunk[skip:]
                    skip = 0
                    at += len(piece)
                    yield piece
            except CutShort as cut:
                reason = cut.message
            else:
                return
            finally:
                chunks.close()
            cuts = 1 if at > began else cuts + 1
            if cuts >= self.patience.attempts:
                raise error_responses.unreachable(self.host, terms.what, reason, cuts)
            time.sleep(min(self.patience.first_pause * 2 ** (cuts - 1), self.patience.longest))

    def call(
        self,
        method: str,
        url: str,
        terms: Terms,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> Answer:
        """A request as it is, for `transfer`: any answer is returned."""
        return self.wire.send(method, url, terms, headers=headers, content=content)

    def error(self, answer: Answer, terms: Terms) -> OtelembedError:
        """The error for an answer that isn't what was asked for."""
        return error_responses.error_for(
            self.host,
            terms.what,
            answer.status,
            answer.headers,
            answer.body if answer.by_registry else b"",
            needs=in_words(terms.scopes) if answer.by_registry else "",
        )

    def _expect(self, answer: Answer, terms: Terms, *statuses: int) -> None:
        if answer.status not in statuses:
            raise self.error(answer, terms)

    def _digest(self, text: str, what: str) -> Digest:
        try:
            return Digest.parse(text)
        except InvalidImage:
            raise RegistryFailed(
                f"Registry '{self.host}' gives {what} a digest that isn't one."
            ) from None


def _media_type(answer: Answer) -> str:
    return answer.headers.get("Content-Type", "").partition(";")[0].strip()


def _matches(digest: Digest, data: bytes) -> bool:
    return hashlib.new(digest.algorithm, data).hexdigest() == digest.hex


_NEXT = re.compile(r"<([^>]*)>\s*;[^,]*\brel=\"?next\"?")


def next_page(link: str | None) -> str | None:
    """The next page's address in a Link header (RFC 8288); relative, as ACR gives it."""
    found = _NEXT.search(link or "")
    return found.group(1) if found else None
