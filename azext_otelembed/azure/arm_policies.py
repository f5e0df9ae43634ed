"""Where a token for Azure Resource Manager may go, and how much of a response is read.

Both are policies of azure-core's pipelines, so that they hold for `Arm` and for azure-mgmt-web.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from azure.core.exceptions import AzureError
from azure.core.pipeline.policies import HTTPPolicy

from azext_otelembed.azure.arm_errors import UnusableResponseError
from azext_otelembed.registry.response import SlowBodyGuard
from azext_otelembed.registry.response_body import BodyTooLongError, raw_chunks
from azext_otelembed.urls import origin

BODY_LIMIT = 16 << 20
"""Bytes of a response, uncompressed. A site in a list has about 8 KiB."""
ERROR_LIMIT = 1 << 20
"""Bytes of an error's response that are read; the rest is dropped."""
BODY_SECONDS = 120.0
"""Seconds for the body of one response."""
_PIECE = 64 << 10
_VISIBLE = re.compile("[!-~]+")
_REGION = re.compile("[a-z0-9-]{1,63}")


def is_arm_address(endpoint: str, address: str) -> bool:
    """Whether an address is on the host of `endpoint`, or on a regional host of the same cloud.

    Those have one label more: `brazilsouth.management.azure.com` (recordings of Azure/azure-cli),
    `centraluseuap.management.azure.com`, `*.management.chinacloudapi.cn`,
    `*.management.usgovcloudapi.net` (`TestEndpointToScope` of Azure/azure-sdk-for-go; the
    dependencies of an App Service Environment, learn.microsoft.com). `endpoint` may be regional.
    """
    # Parsers of addresses differ in what they make of spaces, backslashes and user names.
    if not _VISIBLE.fullmatch(address) or "\\" in address:
        return False
    try:
        own_scheme, own_host, own_port = origin(endpoint)
        scheme, host, port = origin(address)
        has_user = "@" in urlsplit(address).netloc
    except ValueError:
        return False
    if has_user or (scheme, port) != (own_scheme, own_port):
        return False
    parent = own_host.partition(".")[2]
    general = parent if parent.startswith("management.") else own_host
    region, _, rest = host.partition(".")
    return host in (own_host, general) or (
        rest == general and _REGION.fullmatch(region) is not None
    )


class ArmAddressPolicy(HTTPPolicy[Any, Any]):
    """Refuses addresses outside of Azure Resource Manager before a token is added.

    They come from redirects, from `nextLink`, `Azure-AsyncOperation` and `Location`.
    """

    def __init__(self, endpoint: str) -> None:
        super().__init__()
        self._endpoint = endpoint

    def send(self, request: Any) -> Any:
        """Send the request, if its address is Azure Resource Manager's."""
        if not is_arm_address(self._endpoint, request.http_request.url):
            raise UnusableResponseError(
                "Azure's answer leads to an address outside of Azure Resource Manager. It was not "
                "followed, and no token was sent there."
            )
        return self.next.send(request)


class BodyPolicy(HTTPPolicy[Any, Any]):
    """Reads bodies inside the retries, up to `BODY_LIMIT`. `encoding` is the one asked for.

    The body of a 200 that the caller streams is left to the caller.
    """

    def __init__(self, encoding: str = "gzip") -> None:
        super().__init__()
        self._encoding = encoding

    def send(self, request: Any) -> Any:
        """Send the request and read the body."""
        options = request.context.options
        streamed = bool(options.get("stream"))
        # azure-core's transport would read a body of any size.
        options["stream"] = True
        encoding = "identity" if streamed else self._encoding
        request.http_request.headers["Accept-Encoding"] = encoding
        try:
            response = self.next.send(request)
        finally:
            options["stream"] = streamed
        http = response.http_response
        if not (streamed and http.status_code == 200):
            received = http.internal_response
            body, source = self._read(http), received.raw
            source.close()
            received.raw = io.BytesIO(body)
            http.read()
        return response

    def _read(self, http: Any) -> bytes:
        failed = http.status_code >= 400
        limit = ERROR_LIMIT if failed else BODY_LIMIT
        guard = SlowBodyGuard(http, BODY_SECONDS)
        body = bytearray()
        try:
            with guard.reading():
                for piece in _decoded(http):
                    body += piece
                    if len(body) > limit:
                        break
        except AzureError:
            if not guard.expired:
                raise
        except BodyTooLongError:
            raise UnusableResponseError(
                "Azure's answer is longer than its header announces."
            ) from None
        except zlib.error:
            raise UnusableResponseError("Azure's answer is compressed wrongly.") from None
        finally:
            guard.close()
        if guard.expired:
            raise UnusableResponseError(f"Azure's answer took longer than {BODY_SECONDS:.0f} s.")
        if len(body) > limit and not failed:
            raise UnusableResponseError(f"Azure's answer is longer than {limit >> 20} MiB.")
        return bytes(body[:limit])


def _decoded(http: Any) -> Iterator[bytes]:
    """The body in pieces of bounded size, which urllib3 doesn't guarantee in all versions."""
    encoding = str(http.headers.get("Content-Encoding") or "identity").strip().lower()
    if encoding == "identity":
        yield from raw_chunks(http)
        return
    if encoding != "gzip":
        raise UnusableResponseError("Azure's answer has an encoding that wasn't asked for.")
    decoder = zlib.decompressobj(wbits=31)
    received = False
    for chunk in raw_chunks(http):
        received = True
        pending = chunk
        while pending:
            yield decoder.decompress(pending, _PIECE)
            pending = decoder.unconsumed_tail
    if received and (not decoder.eof or decoder.unused_data):
        raise zlib.error
