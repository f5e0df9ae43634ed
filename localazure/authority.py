"""The certificate authority and the signing key of the double, kept in files across restarts.

`python -m localazure.authority DIR` makes them, for images that have to trust the authority.
"""

from __future__ import annotations

import fcntl
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

HASHED_HOSTS = "azurecr.localhost"
"""The domain of registries that have a hash in their host (a domain name label)."""
_HOSTS = ("localhost", f"*.{HASHED_HOSTS}", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Authority:
    """The authority that signs the listeners' certificates, and the key that signs tokens."""

    certificate: Path
    """PEM file with the authority's certificate: what clients have to trust."""
    ca: trustme.CA
    signing_key: rsa.RSAPrivateKey

    def server_context(self) -> ssl.SSLContext:
        """A TLS context with a fresh leaf certificate for this machine's loopback names."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.ca.issue_cert(*_HOSTS).configure_cert(context)
        context.set_alpn_protocols(["http/1.1"])
        return context


def load_or_make(directory: Path) -> Authority:
    """Read the authority kept in `directory`, or make one there (safe among processes)."""
    directory.mkdir(parents=True, exist_ok=True)
    certificate, key, signing = (directory / n for n in ("ca.pem", "ca.key", "signing.key"))
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not signing.exists():
            ca = trustme.CA(organization_name="localazure")
            _keep(certificate, ca.cert_pem.bytes())
            _keep(key, ca.private_key_pem.bytes())
            _keep(signing, _new_signing_key())
    loaded = serialization.load_pem_private_key(signing.read_bytes(), None)
    if not isinstance(loaded, rsa.RSAPrivateKey):
        raise TypeError(f"{signing} holds no RSA key: remove {directory} and start again.")
    ca = trustme.CA.from_pem(certificate.read_bytes(), key.read_bytes())
    return Authority(certificate, ca, loaded)


def _new_signing_key() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _keep(path: Path, data: bytes) -> None:
    new = path.with_suffix(".new")
    new.touch(0o600)
    new.write_bytes(data)
    new.replace(path)


if __name__ == "__main__":
    load_or_make(Path(sys.argv[1]))
