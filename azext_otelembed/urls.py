"""Addresses that a server sends: redirects, uploads, token servers."""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

_VISIBLE = re.compile("[!-~]*")
_PORTS = {"http": 80, "https": 443}


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port, which decide whether a credential is sent. Raises `ValueError`."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or _PORTS.get(parts.scheme, 0)


def is_https(address: str) -> bool:
    """Whether an address can be requested with TLS, and names its host."""
    try:
        scheme, host, _ = origin(address)
    except ValueError:
        return False
    return scheme == "https" and bool(host)


def resolve_safe(base: str, address: str) -> str | None:
    """`address` resolved against `base`.

    None for an invalid address, for one without TLS where `base` has it, and for one that parsers
    read in different ways: with a user name, spaces, backslashes or other characters than ASCII.
    """
    if not _VISIBLE.fullmatch(address) or "\\" in address:
        return None
    try:
        target = urljoin(base, address)
        scheme, host, _ = origin(target)
        if not host or "@" in urlsplit(target).netloc:
            return None
        # Raises for labels that are empty or too long, before a connection is opened.
        host.encode("idna")
        safe = scheme in ("https", urlsplit(base).scheme)
    except ValueError:
        return None
    return target if safe else None
