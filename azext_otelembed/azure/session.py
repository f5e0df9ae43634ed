"""Who calls Azure, and where Azure is: credential, subscription and endpoints of one command."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from azext_otelembed._version import __version__

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, TokenCredential


class CachedCredential:
    """A credential that asks the wrapped one again only when the token is about to expire.

    Safe to use from several threads. (The az session reads its token cache, a file, each time.)
    """

    def __init__(self, inner: TokenCredential) -> None:
        self._inner = inner
        self._lock = threading.Lock()
        self._tokens: dict[tuple[str, ...], AccessToken] = {}

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """The token for `scopes`; `claims` (a challenge of Azure's) always asks for a new one."""
        with self._lock:
            token = self._tokens.get(scopes)
            if options.get("claims") or token is None or token.expires_on - time.time() < 300:
                token = self._inner.get_token(*scopes, **options)
                self._tokens[scopes] = token
            return token


@dataclass(frozen=True, slots=True)
class Session:
    """One caller in one subscription.

    `tenant` is empty where only Azure knows it; `acr_suffix` is the cloud's domain of registries
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
        """A token for Azure Resource Manager, which ACR also exchanges for one of its own."""
        return self.credential.get_token(self.arm_scope).token

    def is_acr(self, host: str) -> bool:
        """Whether `host` (with or without port) lies in the cloud's domain of registries."""
        name = host.partition(":")[0].lower()
        suffix = self.acr_suffix.lstrip(".").lower()
        return bool(suffix) and (name == suffix or name.endswith("." + suffix))
