"""Blobs into a registry: mounted, uploaded whole, or copied in chunks that survive a cut."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from azext_otelembed.errors import RegistryFailed
from azext_otelembed.image.reference import Digest
from azext_otelembed.progress import Progress, Report, silent
from azext_otelembed.registry import endpoints, error_responses
from azext_otelembed.registry.policies import Repeat, seconds_of
from azext_otelembed.urls import resolve_safe

if TYPE_CHECKING:
    from azext_otelembed.registry.client import RegistryClient
    from azext_otelembed.registry.http_pipeline import Answer

CHUNK = 4 << 20
"""Bytes of one PATCH: what Microsoft's own client sends to ACR."""

_RESTARTS = 4


@dataclass(slots=True)
class Upload:
    """An upload under way. `location` is where its next request goes, `offset` what has arrived."""

    location: str
    offset: int = 0


def mount_or_open(
    client: RegistryClient, repository: str, digest: Digest, source_repository: str
) -> Upload | None:
    """None when the blob was mounted; else the upload that the registry opened in its place."""
    url = endpoints.uploads(repository, {"mount": str(digest), "from": source_repository})
    return _open(client, repository, digest, url, source_repository)


def open_upload(client: RegistryClient, repository: str, digest: Digest) -> Upload:
    """Begin an upload."""
    opened = _open(client, repository, digest, endpoints.uploads(repository), "")
    assert opened is not None  # noqa: S101  # only a mount is answered with 201
    return opened


def _open(
    client: RegistryClient, repository: str, digest: Digest, url: str, source: str
) -> Upload | None:
    terms = endpoints.upload_terms(repository, digest, Repeat.ALWAYS, source)
    answer = client.call("POST", url, terms)
    if source and answer.status == 201:
        return None
    if answer.status != 202:
        raise client.error(answer, terms)
    return Upload(_location(client, answer, url, digest))


def check_push(client: RegistryClient, repository: str) -> None:
    """Raise `Unauthorized` unless the caller may push: an upload is opened and given up again."""
    nothing = Digest.of(b"")
    begun = open_upload(client, repository, nothing)
    terms = endpoints.upload_terms(repository, nothing, Repeat.ALWAYS)
    # A registry that doesn't know how to cancel forgets the upload by itself after a while.
    client.call("DELETE", begun.location, terms)


def upload(
    client: RegistryClient,
    repository: str,
    digest: Digest,
    data: bytes,
    mount_from: str | None = None,
) -> None:
    """Store a small blob with one PUT; after a failure in its midst, look whether it arrived."""
    terms = endpoints.upload_terms(repository, digest, Repeat.UNTOUCHED)
    problem: RegistryFailed | None = None
    refused: Answer | None = None
    for attempt in range(_RESTARTS):
        if problem is not None:
            _wait(client, attempt + 1, refused)
            if client.has_blob(repository, digest):
                return
        if mount_from and problem is None:
            begun = mount_or_open(client, repository, digest, mount_from)
            if begun is None:
                return
        else:
            begun = open_upload(client, repository, digest)
        url = _with_digest(begun.location, digest)
        try:
            answer = client.call("PUT", url, terms, headers=_BYTES, content=data)
        except RegistryFailed as cut:
            problem, refused = cut, None
            continue
        if answer.status == 201:
            return
        failed, refused = client.error(answer, terms), answer
        # An upload that the registry has forgotten, or that broke in its midst, starts anew.
        if not _is_passing(answer) and answer.status != 404:
            raise failed
        problem = RegistryFailed(failed.message, failed.recommendation, status=answer.status)
    raise problem or error_responses.corrupt(client.host, terms.what)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a blob's bytes come from: `read()` gives them from the first one, each time anew."""

    size: int
    read: Callable[[], Iterator[bytes]]


def bring(
    client: RegistryClient,
    repository: str,
    digest: Digest,
    size: int,
    source_repository: str,
    report: Report = silent,
) -> None:
    """A blob of another repository of the same registry: mounted, or else copied."""
    begun = mount_or_open(client, repository, digest, source_repository)
    if begun is not None:
        blob = Source(size, lambda: client.stream_blob(source_repository, digest, size))
        what = f"copying {digest.short} (the registry doesn't mount it)"
        upload_stream(client, repository, digest, blob, begun=begun, report=report, what=what)


def upload_stream(
    client: RegistryClient,
    repository: str,
    digest: Digest,
    blob: Source,
    *,
    begun: Upload | None = None,
    chunk: int = CHUNK,
    report: Report = silent,
    what: str = "upload",
) -> None:
    """Store a blob of any size, chunk by chunk.

    After a cut the registry is asked how much has arrived and the upload goes on from there; where
    it can't tell, or has lost what came before, the upload starts anew, a few times.
    """
    terms = endpoints.upload_terms(repository, digest, Repeat.UNTOUCHED)
    refused: Answer | None = None
    for attempt in range(_RESTARTS):
        if attempt:
            _wait(client, attempt + 1, refused)
            refused = None
            if client.has_blob(repository, digest):
                return
        target = begun or open_upload(client, repository, digest)
        begun = None
        report(Progress(what, 0, blob.size))
        lost = False
        for piece in _pieces(blob.read(), chunk):
            if not _send(client, repository, target, digest, piece):
                lost = True
                break
            report(Progress(what, target.offset, blob.size))
        if lost:
            continue
        try:
            answer = client.call("PUT", _with_digest(target.location, digest), terms)
        except RegistryFailed:
            continue
        if answer.status == 201:
            return
        if not _is_passing(answer) and answer.status != 404:
            raise client.error(answer, terms)
        refused = answer
    raise RegistryFailed(
        f"The upload of {terms.what} to registry '{client.host}' broke off {_RESTARTS} times.",
        "Check the network and run the same command again.",
    )


def _send(
    client: RegistryClient, repository: str, target: Upload, digest: Digest, piece: bytes
) -> bool:
    """Send one chunk, whatever it takes. False when the upload is lost and has to start anew."""
    terms = endpoints.upload_terms(repository, digest, Repeat.UNTOUCHED)
    start = target.offset
    end = start + len(piece)
    refused: Answer | None = None
    for attempt in range(client.patience.attempts):
        if attempt:
            _wait(client, attempt, refused)
            # What refuses the first byte in its place has it already.
            some = refused is not None and refused.status == 416 and target.offset == 0
            refused = None
            # The cut may have come after the bytes: only the registry knows.
            if not _ask_offset(client, repository, target, digest, some=some):
                return False
            if not start <= target.offset <= end:
                return False
        rest = piece[target.offset - start :]
        if not rest:
            return True
        last = target.offset + len(rest) - 1
        headers = {**_BYTES, "Content-Range": f"{target.offset}-{last}"}
        try:
            answer = client.call("PATCH", target.location, terms, headers=headers, content=rest)
        except RegistryFailed:
            continue
        if answer.status in (202, 201, 204):
            target.location = _location(client, answer, target.location, digest)
            target.offset = _received(answer, last + 1, some=True)
            if target.offset == end:
                return True
            continue
        if _is_passing(answer):
            refused = answer
            continue
        if answer.status == 404:
            return False
        raise client.error(answer, terms)
    return False


def _is_passing(answer: Answer) -> bool:
    """Whether what the registry refused may be taken when it is asked where things stand."""
    return answer.status in (408, 416) or answer.status >= 500


def _wait(client: RegistryClient, attempt: int, refused: Answer | None) -> None:
    """The pause before attempt `attempt` + 1, or as long as the registry has asked for.

    Raises `RegistryFailed` where that is longer than anybody would wait.
    """
    patience = client.patience
    asked = seconds_of(refused.headers.get("Retry-After")) if refused is not None else None
    if asked is not None and asked > patience.longest:
        raise RegistryFailed(
            f"Registry '{client.host}' takes no upload for another {asked:.0f} s.",
            "Run the same command again then.",
        )
    time.sleep(max(patience.first_pause * 2 ** (attempt - 1), asked or 0))


def _ask_offset(
    client: RegistryClient, repository: str, target: Upload, digest: Digest, *, some: bool
) -> bool:
    """Ask how much of an upload has arrived. False where the registry can't tell."""
    terms = endpoints.upload_terms(repository, digest, Repeat.ALWAYS)
    answer = client.call("GET", target.location, terms)
    if answer.status not in (200, 204) or "Range" not in answer.headers:
        return False
    if "Location" in answer.headers:
        target.location = _location(client, answer, target.location, digest)
    target.offset = _received(answer, target.offset, some=some)
    return True


def _received(answer: Answer, otherwise: int, *, some: bool) -> int:
    """Bytes that have arrived, by `Range: 0-<last>`.

    Registries say `0-0` for one byte and for none (distribution's, and ACR): none, unless `some`
    are known to be there.
    """
    found = re.fullmatch(r"(?:bytes=)?0-(\d{1,18})", answer.headers.get("Range", "").strip())
    if not found:
        return otherwise
    last = int(found.group(1))
    return last + 1 if last or some else 0


def _location(client: RegistryClient, answer: Answer, base: str, digest: Digest) -> str:
    """The upload's next address; relative ones are ACR's rule. Its query is kept as it is."""
    location = answer.headers.get("Location")
    here = client.wire.origin
    target = resolve_safe(resolve_safe(here, base) or here, location or "")
    if not location or target is None:
        raise RegistryFailed(
            f"Registry '{client.host}' doesn't say where the upload of {digest} goes on."
        )
    return target


def _with_digest(location: str, digest: Digest) -> str:
    joint = "&" if "?" in location else "?"
    return f"{location}{joint}digest={quote(str(digest), safe='')}"


def _pieces(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in pieces of `size`, the last one shorter."""
    buffer = bytearray()
    for chunk in chunks:
        buffer += chunk
        while len(buffer) >= size:
            yield bytes(buffer[:size])
            del buffer[:size]
    if buffer:
        yield bytes(buffer)


_BYTES = {"Content-Type": "application/octet-stream"}
