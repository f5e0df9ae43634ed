"""Azure blob storage behind registries: downloads by signed addresses, whole or in ranges."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator
from email.utils import formatdate
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from localazure.acr import store, task_blobs
from localazure.double import Double

_PATH = re.compile(r"/[^/]+//docker/registry/v2/blobs/sha256/[0-9a-f]{2}/([0-9a-f]{64})/data")


def make(double: Double) -> ASGIApp:
    """The app of the storage listener."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if task_blobs.PATH.fullmatch(scope["path"]):
            response = await task_blobs.answer(double, request)
        else:
            response = _answer(double, request)
        await response(scope, receive, send)

    return app


def _answer(double: Double, request: Request) -> Response:
    path, query = request.scope["path"], request.query_params
    match = _PATH.fullmatch(path)
    if request.method not in ("GET", "HEAD") or not match:
        return _error(404, "ResourceNotFound", "The specified resource does not exist.")
    if "authorization" in request.headers:
        # Azure was not seen to do this. Here it shows a client that leaks its registry token.
        text = "A SAS and an Authorization header were both given: only one is allowed."
        return _error(400, "InvalidAuthenticationInfo", text)
    if not double.signer.valid(path, query.get("se", ""), query.get("sig", "")):
        return _error(403, "AuthenticationFailed", task_blobs.UNSIGNED)
    file = double.store.open_blob(f"sha256:{match[1]}")
    if not file.exists():
        return _error(404, "BlobNotFound", "The specified blob does not exist.")
    return _content(request, file)


def _content(request: Request, file: Path) -> Response:
    size = file.stat().st_size
    headers = {
        "accept-ranges": "bytes",
        "content-type": "application/octet-stream",
        "etag": f'"0x{file.name[:15].upper()}"',
        "last-modified": formatdate(file.stat().st_mtime, usegmt=True),
        "x-ms-blob-type": "BlockBlob",
        "x-ms-lease-state": "available",
        "x-ms-lease-status": "unlocked",
        "x-ms-server-encrypted": "true",
    }
    status, start, end = task_blobs.requested_range(request, size)
    if status == 416:
        whole = {"content-range": f"bytes */{size}"}
        return _error(416, "InvalidRange", task_blobs.INVALID_RANGE, whole)
    if status == 206:
        headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
    headers["content-length"] = str(end - start)
    if request.method == "HEAD":
        return _adorned(Response(None, status, headers))
    return _adorned(StreamingResponse(_read(file, start, end), status, headers))


async def _read(file: Path, start: int, end: int) -> AsyncIterator[bytes]:
    for chunk in store.read(file, start, end):
        yield chunk


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    body = task_blobs.ERROR.format(code, message).encode()
    kind = {"content-type": "application/xml", "x-ms-error-code": code}
    return _adorned(Response(body, status, {**kind, **(headers or {})}))


def _adorned(response: Response) -> Response:
    for server in ("Windows-Azure-Blob/1.0", "Microsoft-HTTPAPI/2.0"):
        response.headers.append("server", server)
    response.headers["x-ms-request-id"] = str(uuid.uuid4())
    response.headers["x-ms-version"] = "2016-05-31"
    return response
