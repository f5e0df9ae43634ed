"""Blob storage of ACR Tasks: clients upload archives and read logs."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
import uuid
from email.utils import formatdate
from pathlib import Path

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from localazure.acr.builds import Archive, Log
from localazure.double import Double

PATH = re.compile(r"/[^/]+/[^/]+/(source|logs)/.+")
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_BLOCK = re.compile(r"<(?:Latest|Uncommitted|Committed)>([^<]+)</")
_LONGEST_NAME = 64
ERROR = (
    '\ufeff<?xml version="1.0" encoding="utf-8"?>'
    "<Error><Code>{}</Code><Message>{}</Message></Error>"
)
UNSIGNED = (
    "Server failed to authenticate the request. Make sure the value of Authorization "
    "header is formed correctly including the signature."
)
INVALID_RANGE = "The range specified is invalid for the current size of the resource."


async def answer(double: Double, request: Request) -> Response:
    """Answer a request to an address that ARM signed."""
    path, query = request.scope["path"], request.query_params
    permission = "w" if request.method == "PUT" else "r"
    if not double.signer.granted(path, query, permission):
        return _error(request, 403, "AuthenticationFailed", UNSIGNED)
    archive, log = double.builds.archive(path), double.builds.log(path)
    try:
        if request.method == "PUT" and archive is not None:
            return await _write(request, archive)
    except ClientDisconnect:
        return _error(request, 400, "RequestBodyIncomplete", "The request body was cut off.")
    if request.method in ("GET", "HEAD") and log is not None and log.file.exists():
        return _read(request, log)
    return _error(request, 404, "BlobNotFound", "The specified blob does not exist.")


async def _write(request: Request, archive: Archive) -> Response:
    what = request.query_params.get("comp", "")
    if what == "block":
        return await _put_block(request, archive)
    if what == "blocklist":
        return await _commit(request, archive)
    if request.headers.get("x-ms-blob-type") != "BlockBlob":
        text = "An HTTP header that's mandatory for this request is not specified."
        return _error(request, 400, "MissingRequiredHeader", text)
    incoming = await _receive(request, archive)
    incoming.replace(archive.file)
    archive.committed = True
    return _done(request, archive.file)


async def _put_block(request: Request, archive: Archive) -> Response:
    name = request.query_params.get("blockid", "")
    try:
        length = len(base64.b64decode(name, validate=True))
    except binascii.Error:
        length = 0
    lengths = {len(base64.b64decode(each)) for each in archive.blocks} or {length}
    if not 0 < length <= _LONGEST_NAME or lengths != {length}:
        text = "The specified block ID is invalid. The block ID must be Base64-encoded."
        return _error(request, 400, "InvalidBlockId", text)
    archive.blocks[name] = await _receive(request, archive)
    return _answer(request, 201, b"", {"x-ms-request-server-encrypted": "true"})


async def _commit(request: Request, archive: Archive) -> Response:
    names = _BLOCK.findall((await request.body()).decode("utf-8", "replace"))
    if any(name not in archive.blocks for name in names):
        return _error(request, 400, "InvalidBlockList", "The specified block list is invalid.")
    await asyncio.to_thread(_join, archive.file, [archive.blocks[name] for name in names])
    archive.blocks.clear()
    archive.committed = True
    return _done(request, archive.file)


def _join(target: Path, parts: list[Path]) -> None:
    with target.open("wb") as file:
        for part in parts:
            file.write(part.read_bytes())
            part.unlink()


async def _receive(request: Request, archive: Archive) -> Path:
    """Write the body to a new file; the file of a cut request is removed."""
    incoming = archive.file.with_name(f"{archive.file.name}.{uuid.uuid4().hex}")
    try:
        with incoming.open("wb") as file:
            async for chunk in request.stream():
                file.write(chunk)
    except ClientDisconnect:
        incoming.unlink()
        raise
    return incoming


def _read(request: Request, log: Log) -> Response:
    size = log.file.stat().st_size
    headers = {
        "accept-ranges": "bytes",
        "content-type": "text/plain; charset=utf-8",
        "x-ms-blob-type": "AppendBlob",
        **_dates(log.file),
    }
    if request.method == "HEAD":
        if log.complete:
            headers["x-ms-meta-complete"] = log.complete
        return _answer(request, 200, None, headers | {"content-length": str(size)})
    status, start, end = requested_range(request, size)
    if status == 416:
        return _error(request, 416, "InvalidRange", INVALID_RANGE)
    if status == 206:
        headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
    with log.file.open("rb") as file:
        file.seek(start)
        return _answer(request, status, file.read(end - start), headers)


def requested_range(request: Request, size: int) -> tuple[int, int, int]:
    """The status (200, 206, 416) of a read of `size` bytes, its start, and its end (exclusive)."""
    asked = request.headers.get("x-ms-range") or request.headers.get("range") or ""
    wanted = _RANGE.fullmatch(asked)
    if not wanted:
        return 200, 0, size
    start = int(wanted[1])
    end = min(int(wanted[2]) + 1, size) if wanted[2] else size
    return (416, 0, 0) if start >= size or end <= start else (206, start, end)


def _dates(file: Path) -> dict[str, str]:
    changed = file.stat()
    return {
        "etag": f'"0x{changed.st_mtime_ns & 0xFFFFFFFFFFFFFFF:015X}"',
        "last-modified": formatdate(changed.st_mtime, usegmt=True),
    }


def _done(request: Request, file: Path) -> Response:
    return _answer(request, 201, b"", _dates(file))


def _error(request: Request, status: int, code: str, message: str) -> Response:
    body = ERROR.format(code, message).encode()
    kind = {"content-type": "application/xml", "x-ms-error-code": code}
    return _answer(request, status, body, kind)


def _answer(request: Request, status: int, body: bytes | None, headers: dict[str, str]) -> Response:
    common = {
        "server": "Windows-Azure-Blob/1.0 Microsoft-HTTPAPI/2.0",
        "x-ms-request-id": str(uuid.uuid4()),
        "x-ms-version": request.headers.get("x-ms-version", "2023-01-03"),
    }
    return Response(body, status, {**headers, **common})
