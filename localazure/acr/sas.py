"""Shared access signatures for the blob storage behind the registries."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime, timezone
from urllib.parse import urlencode

LIFETIME = 20 * 60
"""Seconds, as in recordings of ACR's redirects."""


class Signer:
    """Signs addresses for reading, and checks them."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self.lifetime: float = LIFETIME

    def query(self, path: str, registry: str) -> str:
        """The query that permits to read `path` until it expires."""
        expiry = _iso(time.time() + self.lifetime)
        fields = {
            "se": expiry,
            "sig": self._signature(path, expiry),
            "sp": "r",
            "spr": "https",
            "sr": "b",
            "sv": "2016-05-31",
            "regid": registry,
        }
        return urlencode(fields)

    def valid(self, path: str, expiry: str, signature: str) -> bool:
        """Whether a signature is valid for this path, and not expired."""
        ours = hmac.compare_digest(self._signature(path, expiry).encode(), signature.encode())
        return ours and expiry > _iso(time.time())

    def grant(self, path: str, permissions: str, seconds: float) -> str:
        """The query that grants `permissions` (`r`, `cw`) on `path` for some seconds."""
        expiry = _iso(time.time() + seconds)
        fields = {"sv": "2023-01-03", "se": expiry, "sr": "b", "sp": permissions}
        return urlencode({**fields, "sig": self._signature(path, f"{expiry}\n{permissions}")})

    def granted(self, path: str, query: Mapping[str, str], permission: str) -> bool:
        """Whether the query of a request gives `permission` (a letter) on `path` now."""
        expiry, permissions = query.get("se", ""), query.get("sp", "")
        expected = self._signature(path, f"{expiry}\n{permissions}")
        ours = hmac.compare_digest(expected.encode(), query.get("sig", "").encode())
        return ours and permission in permissions and expiry > _iso(time.time())

    def _signature(self, path: str, expiry: str) -> str:
        text = f"{path}\n{expiry}".encode()
        return b64encode(hmac.new(self._key, text, hashlib.sha256).digest()).decode()


def _iso(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
