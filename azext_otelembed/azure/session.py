"""The credential, subscription and endpoints of one command."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from azext_otelembed._version import __version__
from azext_otelembed.registry.auth import AcrExchange, Basic, Credential
from azext_otelembed.registry.client import RegistryClient

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, TokenCredential


class CachedCredential:
    """Caches the tokens of another credential until five minutes before they expire.

    Threads may share it. (az's own credential reads its token cache, a file, for each request.)
    """

    def __init__(self, inner: TokenCredential) -> None:
        self._inner = inner
        self._lock = threading.Lock()
        self._tokens: dict[tuple[str, ...], AccessToken] = {}

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """The token for `scopes`; with `claims` (from Azure's challenge), always a new one."""
        with self._lock:
            token = self._tokens.get(scopes)
            if options.get("claims") or token is None or token.expires_on - time.time() < 300:
                token = self._tokens[scopes] = self._inner.get_token(*scopes, **options)
            return token


@dataclass(frozen=True, slots=True)
class Session:
    """One identity in one subscription.

    `tenant` is empty where it isn't known; `acr_suffix` is the cloud's domain of registries
    (`azurecr.io`); `transport` holds keyword arguments for azure-core's transport, such as
    `connection_verify`.
    """

    credential: TokenCredential
    subscription: str
    tenant: str
    arm_endpoint: str
    arm_scope: str
    acr_suffix: str
    transport: Mapping[str, Any] = field(default_factory=dict)
    user_agent: str = f"otelembed/{__version__}"

    def arm_token(self) -> str:
        """A token for Azure Resource Manager, which ACR exchanges for its own."""
        return self.credential.get_token(self.arm_scope).token

    def open_registry(self, host: str, login: Basic | None = None) -> RegistryClient:
        """A client of the registry at `host`, with `login`, this identity, or neither."""
        credential: Credential | None = login
        if login is None and self.is_acr(host):
            credential = AcrExchange(self.arm_token, self.tenant)
        return RegistryClient(host, credential, transport=self.transport)

    def is_acr(self, host: str) -> bool:
        """Whether `host` (with or without port) lies in the cloud's domain of registries."""
        name = host.partition(":")[0].lower()
        suffix = self.acr_suffix.lstrip(".").lower()
        return bool(suffix) and (name == suffix or name.endswith("." + suffix))
