"""One blob behind a signed address: written in blocks, or read while it grows.

The address is the right to use it, so it shows nowhere: not in errors, not in az's debug log.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from azext_otelembed.azure.arm import LONGEST_WAIT, transport
from azext_otelembed.azure.arm_errors import cause
from azext_otelembed.errors import AzureFailed, NotFound, Unauthorized
from azext_otelembed.log_redaction import no_http_logs

if TYPE_CHECKING:
    from azext_otelembed.azure.session import Session

BLOCK = 4 << 20
"""Bytes of one block: 50 000 of them, the most that Azure takes, make 195 GiB."""
VERSION = "2021-12-02"
_CODE = re.compile(r"<Code>([^<]+)</Code>")
_COMPLETE = "x-ms-meta-complete"


@dataclass(frozen=True, slots=True)
class State:
    """A log as far as it is written: its bytes, and the word that ends it ("" until then)."""

    size: int
    complete: str


class Blob:
    """The blob at `url`. `what` names it in errors. Raises `AzureFailed` and `Unauthorized`."""

    def __init__(self, session: Session, what: str, url: str) -> None:
        from azure.core.pipeline import Pipeline
        from azure.core.pipeline import policies as core

        class Retry(core.RetryPolicy[Any, Any]):
            """Azure-core's retries (a block sent twice is one), but never for minutes."""

            def is_retry(self, settings: dict[str, Any], response: Any) -> bool:
                asked = self.get_retry_after(response)
                return not (asked and asked > LONGEST_WAIT) and bool(
                    super().is_retry(settings, response)
                )

        self._what = what
        self._url = url
        agent = core.UserAgentPolicy(user_agent=session.user_agent, user_agent_overwrite=True)
        retry = Retry(retry_total=5, retry_backoff_factor=0.4, retry_backoff_max=20)
        self._transport = transport(session)
        self._pipeline: Any = Pipeline(self._transport, [agent, retry])

    def write(self, pieces: Iterable[bytes]) -> None:
        """Store the pieces, each a block, in order. Nothing shows before the last one is there.

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

    def look(self) -> State | None:
        """How much is there; None while there is nothing."""
        try:
            headers = self._send("HEAD").headers
        except NotFound:
            return None
        told = {name.lower(): value for name, value in headers.items()}
        length = told.get("content-length", "")
        return State(int(length) if length.isdecimal() else 0, told.get(_COMPLETE, ""))

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
        except AzureError as error:
            reason = cause(error)
        if reason:
            # Not from within the handler: the cause's text holds the whole address.
            raise AzureFailed(
                f"{self._what}: no answer from Azure's blob storage ({reason}).",
                "Check that the network lets you reach *.blob.core.windows.net, and run the same "
                "command again.",
            )
        if response.status_code >= 400:
            raise self._refusal(response)
        return response

    def _refusal(self, response: Any) -> AzureFailed | Unauthorized | NotFound:
        status = int(response.status_code)
        found = _CODE.search(response.text() if response.request.method != "HEAD" else "")
        code = response.headers.get("x-ms-error-code") or (found[1] if found else "")
        said = f"HTTP {status}{f' ({code})' if code else ''}"
        if status == 404:
            return NotFound(f"{self._what} was not found in Azure's blob storage: {said}.")
        if status == 403:
            return Unauthorized(
                f"{self._what}: Azure's blob storage doesn't accept the address it gave: {said}.",
                "It is good for an hour. Run the same command again; if that takes longer than an "
                "hour, leave more out with a .dockerignore.",
            )
        return AzureFailed(
            f"{self._what}: Azure's blob storage answered {said}.",
            "Run the same command again.",
            status=status,
        )
