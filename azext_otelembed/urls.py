"""Where an address that somebody else gives leads."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

_PORTS = {"http": 80, "https": 443}


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port: who a credential may be sent to. `ValueError` for no address."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or _PORTS.get(parts.scheme, 0)


def resolve_safe(base: str, address: str) -> str | None:
    """Where `address`, which may be relative, leads from `base`.

    None for what can't be an address, and for one less safe than `base`: without TLS.
    """
    try:
        target = urljoin(base, address)
        scheme, host, _ = origin(target)
        # Labels that are empty or too long: what connects would raise that in its own way.
        host.encode("idna")
        safe = scheme in ("https", urlsplit(base).scheme)
    except ValueError:
        return None
    return target if safe else None
