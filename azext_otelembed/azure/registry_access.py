"""A client of a registry, signed in as the caller of Azure where the registry is one of Azure's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from azext_otelembed.registry.auth import AcrExchange, Anonymous, Basic
from azext_otelembed.registry.client import RegistryClient

if TYPE_CHECKING:
    from azext_otelembed.azure.session import Session


def open_registry(session: Session, host: str, login: Basic | None = None) -> RegistryClient:
    """A client of the registry at `host`, as `login`, else as who calls Azure, else as nobody."""
    credential: AcrExchange | Anonymous | Basic = login or Anonymous()
    if login is None and session.is_acr(host):
        credential = AcrExchange(session.arm_token, session.tenant)
    return RegistryClient(host, credential, transport=session.transport)
