"""The bytes of a response, as they are sent, with a check of their announced number."""

from __future__ import annotations

from collections.abc import Iterator
from http.client import HTTPResponse
from typing import Any

import urllib3
from azure.core.exceptions import ServiceResponseError, ServiceResponseTimeoutError

CHUNK = 64 << 10


class BodyTooLongError(Exception):
    """The server sends more bytes than its Content-Length announces."""


def raw_chunks(response: Any) -> Iterator[bytes]:
    """The body of azure-core's `response`, not decompressed, in chunks of at most `CHUNK` bytes.

    Raises `ServiceResponseError` for a body that is shorter than announced, and `BodyTooLongError`
    for a longer one, if the rest arrives together with the end. (http.client drops that rest: a
    body could be valid JSON and cut all the same.)
    """
    raw = response.internal_response.raw
    source: Any = getattr(raw, "_fp", None)
    counted = isinstance(source, HTTPResponse)
    try:
        while True:
            # The bytes still to come; None where they aren't announced.
            left = source.length if counted else None
            if left == 1 and len(source.peek(2)) > 1:
                raise BodyTooLongError
            chunk = raw.read(min(left - 1, CHUNK) or 1 if left else CHUNK, decode_content=False)
            if not chunk:
                return
            yield chunk
    except urllib3.exceptions.ReadTimeoutError as error:
        raise ServiceResponseTimeoutError(error, error=error) from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise ServiceResponseError(error, error=error) from error
