"""A registry client with the session's Azure identity, for registries in Azure."""

from __future__ import annotations

from azext_otelembed.azure.session import Session
from azext_otelembed.registry.auth import AcrExchange, Anonymous, Basic
from azext_otelembed.registry.client import RegistryClient


def open_registry(session: Session, host: str, login: Basic | None = None) -> RegistryClient:
    """A client of the registry at `host`, with `login`, the session's identity, or neither."""
    credential: AcrExchange | Anonymous | Basic = login or Anonymous()
    if login is None and session.is_acr(host):
        credential = AcrExchange(session.arm_token, session.tenant)
    return RegistryClient(host, credential, transport=session.transport)
