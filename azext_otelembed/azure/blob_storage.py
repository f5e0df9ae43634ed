"""One blob with a signed address: written in blocks, or read while Azure appends to it.

The address grants access, so neither an error nor az's debug log ever holds it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from azext_otelembed.azure.arm import make_transport, retry_policy, user_agent_policy
from azext_otelembed.azure.arm_errors import UnusableResponseError
from azext_otelembed.azure.arm_json import AGAIN
from azext_otelembed.azure.arm_policies import BodyPolicy
from azext_otelembed.azure.session import Session
from azext_otelembed.connection_errors import cause
from azext_otelembed.errors import AzureFailed, NotFound, Unauthorized
from azext_otelembed.log_redaction import no_http_logs
from azext_otelembed.urls import is_https

BLOCK = 4 << 20
"""Bytes of one block: Azure allows 50 000 of them, 195 GiB."""
VERSION = "2021-12-02"
_CODE = re.compile(r"<Code>(\w{1,64})</Code>")


@dataclass(frozen=True, slots=True)
class BlobState:
    """The size in bytes, and the metadata value that marks a log as complete ("" until then)."""

    size: int
    complete: str


class Blob:
    """The blob at `url`. `what` names it in errors. Raises `AzureFailed` and `Unauthorized`.

    An address that isn't https is refused: its signature would be readable on the way.
    """

    def __init__(self, session: Session, what: str, url: str) -> None:
        from azure.core.pipeline import Pipeline

        if not is_https(url):
            raise AzureFailed(
                f"{what}: Azure gave an address of its blob storage that isn't https.",
                "Run the same command again; if it repeats, look for a proxy that changes what "
                "Azure answers.",
            )
        session.secrets.add_address(url)
        self._what = what
        self._url = url
        self._transport = make_transport(session)
        # A block that is sent twice is stored once.
        policies = [user_agent_policy(session), retry_policy(attempts=5), BodyPolicy("identity")]
        self._pipeline: Any = Pipeline(self._transport, policies)

    def write(self, pieces: Iterable[bytes]) -> None:
        """Store each piece as a block, in order. The blob exists once all blocks are committed.

        https://learn.microsoft.com/rest/api/storageservices/put-block
        """
        names: list[str] = []
        for piece in pieces:
            names.append(base64.b64encode(f"{len(names):08d}".encode()).decode())
            query = f"comp=block&blockid={quote(names[-1], safe='')}"
            self._send("PUT", query, piece, {"Content-Type": "application/octet-stream"})
        listed = "".join(f"<Latest>{name}</Latest>" for name in names)
        document = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{listed}</BlockList>'
        self._send("PUT", "comp=blocklist", document.encode(), {"Content-Type": "application/xml"})

    def state(self) -> BlobState | None:
        """The blob's state; None while it doesn't exist."""
        try:
            headers = self._send("HEAD").headers
        except NotFound:
            return None
        lower = {name.lower(): value for name, value in headers.items()}
        length, complete = lower.get("content-length", ""), lower.get("x-ms-meta-complete", "")
        return BlobState(int(length[:19]) if length.isdecimal() else 0, complete)

    def read(self, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end` (exclusive)."""
        data: bytes = self._send("GET", headers={"x-ms-range": f"bytes={start}-{end - 1}"}).read()
        return data

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def _send(
        self,
        method: str,
        query: str = "",
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        from azure.core.exceptions import AzureError
        from azure.core.rest import HttpRequest

        address = f"{self._url}&{query}" if query else self._url
        request = HttpRequest(
            method, address, content=content, headers={"x-ms-version": VERSION, **(headers or {})}
        )
        reason = ""
        try:
            with no_http_logs():
                response = self._pipeline.run(request).http_response
        except UnusableResponseError as error:
            raise AzureFailed(f"{self._what}: {error}", AGAIN) from None
        except AzureError as error:
            reason = cause(error)
        if reason:
            # Raised outside the handler: the exception's message holds the whole address.
            raise AzureFailed(
                f"{self._what}: no answer from Azure's blob storage ({reason}).",
                "Check that the network lets you reach *.blob.core.windows.net, and run the same "
                "command again.",
            )
        if response.status_code >= 400:
            raise self._error(response)
        return response

    def _error(self, response: Any) -> AzureFailed | Unauthorized | NotFound:
        status = int(response.status_code)
        found = _CODE.search(response.text() if response.request.method != "HEAD" else "")
        given = response.headers.get("x-ms-error-code") or ""
        code = given if re.fullmatch(r"\w{1,64}", given) else found[1] if found else ""
        detail = f"HTTP {status}{f' ({code})' if code else ''}"
        if status == 404:
            return NotFound(f"{self._what} was not found in Azure's blob storage: {detail}.")
        if status == 403:
            return Unauthorized(
                f"{self._what}: Azure's blob storage rejects the signed address: {detail}.",
                "It is valid for an hour. Run the same command again; if that takes longer than an "
                "hour, leave more out with a .dockerignore.",
            )
        return AzureFailed(
            f"{self._what}: Azure's blob storage answered {detail}.",
            "Run the same command again.",
            status=status,
        )
