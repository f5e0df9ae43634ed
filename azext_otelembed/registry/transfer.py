"""Blobs into a registry: mounted, uploaded whole, or uploaded in chunks and resumed after a cut."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from azext_otelembed.errors import RegistryFailed
from azext_otelembed.image.reference import Digest
from azext_otelembed.progress import Progress, Report, discard
from azext_otelembed.registry import endpoints
from azext_otelembed.registry.client import RegistryClient
from azext_otelembed.registry.http_headers import retry_after_seconds
from azext_otelembed.registry.response import RegistryResponse
from azext_otelembed.urls import resolve_safe

CHUNK = 4 << 20
"""Bytes of one PATCH: the size that Microsoft's own client sends to ACR."""

_RESTARTS = 4
_BYTES = {"Content-Type": "application/octet-stream"}


@dataclass(slots=True)
class Upload:
    """An open upload: the address of its next request, and the bytes that the registry has."""

    client: RegistryClient
    repository: str
    digest: Digest
    location: str
    offset: int = 0

    def send(self, method: str, *, idempotent: bool = True, **content: Any) -> RegistryResponse:
        """Send a request to the upload's address."""
        options = endpoints.upload(self.repository, self.digest, idempotent=idempotent)
        return self.client.http.send(method, self.location, options, **content)

    def send_chunk(self, piece: bytes) -> bool:
        """Send one chunk, with retries. False when the upload has to restart."""
        start, end = self.offset, self.offset + len(piece)
        response: RegistryResponse | None = None
        for attempt in range(self.client.retry.attempts):
            if attempt:
                _wait(self.client, attempt, response)
                # A registry that answers 416 to the first chunk has received some of it.
                some = response is not None and response.status == 416 and self.offset == 0
                # The connection may have been cut after the bytes arrived: the registry knows.
                if not self._update_offset(some=some) or not start <= self.offset <= end:
                    return False
            response = None
            rest = piece[self.offset - start :]
            if not rest:
                return True
            headers = {**_BYTES, "Content-Range": f"{self.offset}-{end - 1}"}
            try:
                sent = self.send("PATCH", idempotent=False, headers=headers, content=rest)
            except RegistryFailed:
                continue
            if sent.status in (202, 201, 204):
                self.location = _location(self.client, sent, self.location, self.digest)
                self.offset = _received(sent, end, some=True)
                if self.offset == end:
                    return True
            elif _is_retryable(sent):
                response = sent
            elif sent.status == 404:
                return False
            else:
                raise self.client.error(sent, endpoints.upload(self.repository, self.digest))
        return False

    def _update_offset(self, *, some: bool) -> bool:
        """Ask the registry how many bytes it has. False where it doesn't know."""
        response = self.send("GET")
        if response.status not in (200, 204) or "Range" not in response.headers:
            return False
        if "Location" in response.headers:
            self.location = _location(self.client, response, self.location, self.digest)
        self.offset = _received(response, self.offset, some=some)
        return True


@dataclass(frozen=True, slots=True)
class BlobSource:
    """The bytes to upload. `read()` returns them from the first one, on each call."""

    size: int
    read: Callable[[], Iterator[bytes]]


def mount_or_open(
    client: RegistryClient, repository: str, digest: Digest, source_repository: str = ""
) -> Upload | None:
    """Open an upload, or mount the blob of `source_repository`: None when it was mounted."""
    url, statuses = f"/v2/{repository}/blobs/uploads/", [202]
    if source_repository:
        url += "?" + urlencode({"mount": str(digest), "from": source_repository})
        statuses.append(201)
    options = endpoints.upload(repository, digest, source=source_repository)
    response = client.request("POST", url, options, *statuses)
    if response.status == 201:
        return None
    return Upload(client, repository, digest, _location(client, response, url, digest))


def check_push(client: RegistryClient, repository: str) -> None:
    """Raise `Unauthorized` unless the caller may push: opens an upload and cancels it."""
    if opened := mount_or_open(client, repository, Digest.of(b"")):
        # Any status will do: a registry that can't cancel removes the upload after a while.
        opened.send("DELETE")


def upload(
    client: RegistryClient,
    repository: str,
    digest: Digest,
    data: bytes,
    mount_from: str | None = None,
) -> None:
    """Store a small blob with one PUT, or mount it from the repository `mount_from`."""
    opened = mount_or_open(client, repository, digest, mount_from) if mount_from else None
    if opened is None and mount_from:
        return
    _store(client, repository, digest, opened, data, lambda _: True)


def mount_or_copy(
    client: RegistryClient,
    repository: str,
    digest: Digest,
    size: int,
    source_repository: str,
    report: Report = discard,
) -> None:
    """Mount a blob of another repository of the same registry, or copy it."""
    opened = mount_or_open(client, repository, digest, source_repository)
    if opened is not None:
        blob = BlobSource(size, lambda: client.stream_blob(source_repository, digest, size))
        what = f"copying {digest.short} (the registry doesn't mount it)"
        upload_stream(client, repository, digest, blob, opened=opened, report=report, what=what)


def upload_stream(
    client: RegistryClient,
    repository: str,
    digest: Digest,
    blob: BlobSource,
    *,
    opened: Upload | None = None,
    chunk: int = CHUNK,
    report: Report = discard,
    what: str = "upload",
) -> None:
    """Store a blob of any size, chunk by chunk.

    After a cut connection the registry is asked for the upload's offset, and the upload is resumed
    there. If the registry doesn't know it or has lost bytes, the upload restarts, a few times.
    """

    def send(target: Upload) -> bool:
        report(Progress(what, 0, blob.size))
        for piece in pieces(blob.read(), chunk):
            if not target.send_chunk(piece):
                return False
            report(Progress(what, target.offset, blob.size))
        return True

    _store(client, repository, digest, opened, None, send)


def _store(
    client: RegistryClient,
    repository: str,
    digest: Digest,
    opened: Upload | None,
    data: bytes | None,
    send: Callable[[Upload], bool],
) -> None:
    """Complete an upload: `send` the chunks, then PUT with `data`; restarts a few times.

    `send` returns False when the registry has lost the upload.
    """
    options = endpoints.upload(repository, digest)
    headers = None if data is None else _BYTES
    failure = RegistryFailed(
        f"The upload of {options.what} to registry '{client.host}' was interrupted {_RESTARTS} "
        "times.",
        "Check the network and run the same command again.",
    )
    response: RegistryResponse | None = None
    for attempt in range(_RESTARTS):
        if attempt:
            _wait(client, attempt + 1, response)
            if client.has_blob(repository, digest):
                return
        target = opened or mount_or_open(client, repository, digest)
        opened = response = None
        if target is None or not send(target):
            continue
        target.location += "&" if "?" in target.location else "?"
        target.location += f"digest={quote(str(digest), safe='')}"
        try:
            response = target.send("PUT", idempotent=False, headers=headers, content=data)
        except RegistryFailed as error:
            failure = error
            continue
        if response.status == 201:
            return
        refusal = client.error(response, options)
        # 404: the registry no longer knows the upload.
        if not _is_retryable(response) and response.status != 404:
            raise refusal
        failure = RegistryFailed(refusal.message, refusal.recommendation, status=response.status)
    raise failure


def _is_retryable(response: RegistryResponse) -> bool:
    """Whether the upload may succeed after the registry was asked for its offset."""
    return response.status in (408, 416) or response.status >= 500


def _wait(client: RegistryClient, attempt: int, response: RegistryResponse | None) -> None:
    """Wait after attempt `attempt`, at least as long as the registry's Retry-After asks.

    Raises `RegistryFailed` when that is longer than the retry options allow.
    """
    header = response.headers.get("Retry-After") if response is not None else None
    asked = retry_after_seconds(header)
    if asked is not None and asked > client.retry.max_delay:
        raise RegistryFailed(
            f"Registry '{client.host}' accepts no upload for another {asked:.0f} s.",
            "Run the same command again after that time.",
        )
    pause = max(client.retry.delay(attempt), asked or 0)
    client.deadline.sleep(pause, f"registry '{client.host}' took the upload")


def _received(response: RegistryResponse, default: int, *, some: bool) -> int:
    """The bytes that the registry has, by `Range: 0-<last>`.

    Registries send `0-0` for one byte and for none (distribution's and ACR do): it counts as none,
    unless `some` bytes are known to have arrived.
    """
    found = re.fullmatch(r"(?:bytes=)?0-([0-9]{1,18})", response.headers.get("Range", "").strip())
    if not found:
        return default
    last = int(found.group(1))
    return last + 1 if last or some else 0


def _location(client: RegistryClient, response: RegistryResponse, base: str, digest: Digest) -> str:
    """The upload's next address, with its query unchanged. ACR's is relative."""
    location = response.headers.get("Location")
    registry = client.http.origin
    target = resolve_safe(resolve_safe(registry, base) or registry, location or "")
    if not location or target is None:
        raise RegistryFailed(
            f"Registry '{client.host}' sends no valid address for the upload of {digest}."
        )
    return target


def pieces(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in pieces of `size`; the last one is shorter."""
    buffer = bytearray()
    for chunk in chunks:
        buffer += chunk
        while len(buffer) >= size:
            yield bytes(buffer[:size])
            del buffer[:size]
    if buffer:
        yield bytes(buffer)
