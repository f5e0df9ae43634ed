"""Uploads of blobs: started, extended chunk by chunk, finished with a digest."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.requests import ClientDisconnect
from starlette.responses import Response

from localazure.acr.call import Call
from localazure.acr.registry_responses import Refused, Scope
from localazure.acr.store import DIGEST, now

_RANGE = re.compile(r"(?:bytes[ =])?(\d+)-(\d+)(?:/.*)?")


@dataclass(slots=True)
class Upload:
    """The received part of one blob. It is kept when a connection is cut."""

    name: str
    file: Path
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    started: str = field(default_factory=now)
    size: int = 0
    hasher: Any = field(default_factory=hashlib.sha256)

    def state(self) -> str:
        """The opaque `_state` for the next request."""
        fields = {
            "Name": self.name,
            "UUID": self.id,
            "Offset": self.size,
            "StartedAt": self.started,
        }
        text = json.dumps(fields, separators=(",", ":")).encode()
        seal = hashlib.sha256(b"localazure" + text).digest()
        return base64.urlsafe_b64encode(seal + text).decode()


class Uploads:
    """The unfinished uploads of one registry."""

    def __init__(self) -> None:
        self._open: dict[str, Upload] = {}

    async def begin(self, call: Call) -> Response:
        """POST: 202 and the address for chunks; 201 if the blob was mounted."""
        query = call.request.query_params
        digest, source = query.get("mount"), query.get("from")
        if digest and source and _mounted(call, digest, source):
            return _created(call, digest)
        upload = Upload(call.name, call.store.new_file())
        self._open[upload.id] = upload
        return self._progress(call, upload, 202)

    async def status(self, call: Call) -> Response:
        """GET: 204 and the received size."""
        return self._progress(call, self._find(call), 204)

    async def cancel(self, call: Call) -> Response:
        """DELETE: 204; the received part is deleted."""
        self._end(self._find(call))
        return call.responses.plain(204)

    async def append(self, call: Call) -> Response:
        """PATCH: one more chunk; 416 unless it starts at the end of the last one."""
        upload = self._find(call)
        self._check_order(call, upload)
        await _receive(call, upload)
        return self._progress(call, upload, 202)

    async def finish(self, call: Call) -> Response:
        """PUT: the last chunk, if any, and the digest of the blob."""
        upload = self._find(call)
        self._check_order(call, upload)
        await _receive(call, upload)
        digest = call.request.query_params.get("digest", "")
        text = "provided digest did not match uploaded content"
        if not DIGEST.fullmatch(digest):
            return call.responses.error(400, "DIGEST_INVALID", text, "digest parsing failed")
        if digest != f"sha256:{upload.hasher.hexdigest()}":
            self._end(upload)
            return call.responses.error(400, "DIGEST_INVALID", text)
        call.store.adopt(upload.file, digest)
        call.store.link_blob(call.login, call.name, digest)
        self._end(upload)
        return _created(call, digest)

    def _find(self, call: Call) -> Upload:
        """The upload in the path; 404 unless the request has a `_state` of it."""
        upload = self._open.get(call.reference)
        known = _state(call).get("UUID") == call.reference
        if upload is None or upload.name != call.name or not known:
            text = "blob upload unknown to registry"
            raise Refused(call.responses.error(404, "BLOB_UPLOAD_UNKNOWN", text))
        return upload

    def _end(self, upload: Upload) -> None:
        del self._open[upload.id]
        upload.file.unlink(missing_ok=True)

    def _progress(self, call: Call, upload: Upload, status: int) -> Response:
        path = f"/v2/{call.name}/blobs/uploads/{upload.id}"
        headers = {
            "docker-upload-uuid": upload.id,
            "location": call.link(f"{path}?_nouploadcache=false&_state={quote(upload.state())}"),
            "range": f"0-{max(upload.size - 1, 0)}",
        }
        return call.responses.plain(status, headers)

    def _check_order(self, call: Call, upload: Upload) -> None:
        if _in_order(call, upload):
            return
        response = call.responses.error(416, "RANGE_INVALID", "invalid content range")
        for name in ("docker-upload-uuid", "location", "range"):
            response.headers[name] = self._progress(call, upload, 416).headers[name]
        raise Refused(response)


def _mounted(call: Call, digest: str, source: str) -> bool:
    """Mount a blob, if the registry supports it and the caller may pull from the source."""
    if not call.registry.mounts or not call.store.has_blob(call.login, source, digest):
        return False
    if not call.auth.allowed(call.request, Scope("repository", source, ("pull",))):
        return False
    call.store.link_blob(call.login, call.name, digest)
    return True


def _in_order(call: Call, upload: Upload) -> bool:
    given = call.request.headers.get("content-range")
    start = upload.size
    if given is not None:
        match = _RANGE.fullmatch(given.strip())
        start = int(match[1]) if match else -1
    return start == upload.size == _state(call).get("Offset")


def _state(call: Call) -> dict[str, Any]:
    """The request's `_state`; empty if its signature is invalid."""
    try:
        raw = base64.urlsafe_b64decode(call.request.query_params.get("_state", ""))
    except (binascii.Error, ValueError):
        return {}
    seal, text = raw[:32], raw[32:]
    if hashlib.sha256(b"localazure" + text).digest() != seal:
        return {}
    state: dict[str, Any] = json.loads(text)
    return state


async def _receive(call: Call, upload: Upload) -> None:
    """Append the body to the upload's file. The part before a cut is kept."""
    with upload.file.open("ab") as file:
        try:
            async for chunk in call.request.stream():
                file.write(chunk)
                upload.hasher.update(chunk)
                upload.size += len(chunk)
        except ClientDisconnect:
            file.flush()
            raise


def _created(call: Call, digest: str) -> Response:
    headers = {
        "location": call.link(f"/v2/{call.name}/blobs/{digest}"),
        "docker-content-digest": digest,
    }
    return call.responses.plain(201, headers)
