"""The credential, subscription and endpoints of one command."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from azext_otelembed._version import __version__
from azext_otelembed.az_commands import DEFAULT, Caller
from azext_otelembed.azure.clock import Clock
from azext_otelembed.deadline import Deadline
from azext_otelembed.errors import AzureFailed, DeadlineExceeded, OtelembedError, Unauthorized
from azext_otelembed.redaction import Secrets
from azext_otelembed.registry.auth import AcrExchange, Basic, Credential
from azext_otelembed.registry.client import RegistryClient

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, TokenCredential


REFUSAL_LIFETIME = 10.0
"""Seconds for which a refusal is cached, for concurrent requests and for many sites."""
TOKEN_SECONDS = 120.0
"""Seconds for one token: az's own credentials send their requests without a time limit."""
_TOKEN = re.compile("[ -~]+")
ACR_AUDIENCE = "https://containerregistry.azure.net"
"""The audience of registries in all clouds (Azure/azure-sdk-for-net#34785), az's default too."""


class CachedCredential:
    """Caches the tokens of another credential until five minutes before they expire.

    The refusal of a token is cached too. Threads may share it. (az's own credential reads its token
    cache, a file, for each request.) The tokens are added to `secrets`.
    """

    def __init__(self, inner: TokenCredential, secrets: Secrets | None = None) -> None:
        self._inner = inner
        self._secrets = secrets or Secrets()
        self._lock = threading.Lock()
        self._tokens: dict[tuple[str, ...], AccessToken] = {}
        self._refusals: dict[tuple[str, ...], tuple[Exception, float]] = {}

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """The token for `scopes`; with `claims` (from Azure's challenge), always a new one."""
        with self._lock:
            token = self._tokens.get(scopes)
            if options.get("claims") or token is None or token.expires_on - time.time() < 300:
                token = self._tokens[scopes] = self._new_token(scopes, options)
            return token

    def _new_token(self, scopes: tuple[str, ...], options: Mapping[str, Any]) -> AccessToken:
        refusal, until = self._refusals.get(scopes, (None, 0.0))
        if refusal is not None and time.monotonic() < until:
            raise refusal
        try:
            token = self._inner.get_token(*scopes, **options)
        except OSError:  # of requests: the network failed, so the next call may succeed
            raise
        except Exception as error:
            self._refusals[scopes] = error, time.monotonic() + REFUSAL_LIFETIME
            raise
        if not isinstance(token.token, str) or not _TOKEN.fullmatch(token.token):
            raise Unauthorized(
                "The sign-in was answered without a token.",
                "Run the same command again; if it repeats, look for a proxy that changes what "
                "Entra ID answers.",
            )
        self._secrets.add(token.token)
        return token


@dataclass(frozen=True, slots=True)
class BoundedCredential:
    """A credential that gives a token in time, or raises `DeadlineExceeded` or `AzureFailed`."""

    inner: TokenCredential
    deadline: Deadline

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """The token of `inner`."""

        def call() -> AccessToken:
            return self.inner.get_token(*scopes, **options)

        try:
            return self.deadline.run(call, "the sign-in gave a token", TOKEN_SECONDS)
        except TimeoutError:
            reason = f"The sign-in gave no token within {TOKEN_SECONDS:.0f} s."
        raise AzureFailed(reason, "Check the network, and run the same command again.")


@dataclass(frozen=True, slots=True)
class Session:
    """One identity in one subscription.

    `tenant` is empty where it isn't known; `acr_suffix` is the cloud's domain of registries
    (`azurecr.io`), `acr_scope` the scope of the tokens that they exchange; `transport` holds
    keyword arguments for azure-core's transport, such as `connection_verify`. `caller` is
    the account for which commands are printed; `secrets` are those that the command has read, to be
    masked in untrusted text. `deadline` is the command's: each request of the session ends with it.
    `clock` has Azure's time, once Azure Resource Manager has answered.
    """

    credential: TokenCredential
    subscription: str
    tenant: str
    arm_endpoint: str
    arm_scope: str
    acr_suffix: str
    acr_scope: str = f"{ACR_AUDIENCE}/.default"
    transport: Mapping[str, Any] = field(default_factory=dict)
    user_agent: str = f"otelembed/{__version__}"
    caller: Caller = DEFAULT
    secrets: Secrets = field(default_factory=Secrets)
    deadline: Deadline = field(default_factory=Deadline)
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        object.__setattr__(self, "caller", self.caller.within(self.subscription))

    def command(self, verb: str, *names: str) -> str:
        """The command `az VERB NAMES` in the session's subscription, as it is to be typed."""
        return self.caller.command(verb, *names, subscription=self.subscription)

    @property
    def bounded_credential(self) -> BoundedCredential:
        """The credential, within the deadline."""
        return BoundedCredential(self.credential, self.deadline)

    def arm_token(self) -> str:
        """A token for Azure Resource Manager."""
        return self.bounded_credential.get_token(self.arm_scope).token

    def acr_token(self) -> str:
        """A token of the registries' audience. Raises `Unauthorized` where it can't be had.

        Some clouds, tenants and machines with a managed identity have none (Azure/azure-cli#33674
        and #33698).
        """
        try:
            return self.bounded_credential.get_token(self.acr_scope).token
        except DeadlineExceeded:
            raise
        except Exception as error:  # noqa: BLE001  # az's credentials raise errors of many libraries
            given = error.message if isinstance(error, OtelembedError) else str(error)
            given = self.secrets.mask(given.strip())
            reason = given.partition("\n")[0].strip() or type(error).__name__
        raise Unauthorized(
            f"There is no token for '{self.acr_scope.removesuffix('/.default')}': {reason}",
            "Let the identity have one (with az's own login: `az login --scope "
            f"{self.acr_scope}`), or name the audience of your cloud's registries: `az config set "
            "acr.audience_resource=<audience>`.",
        )

    def registry_credential(self) -> AcrExchange:
        """This identity, for an Azure container registry."""
        fallback = self.arm_token if self.acr_scope != self.arm_scope else None
        return AcrExchange(self.acr_token, self.tenant, fallback)

    def open_registry(self, host: str, login: Basic | None = None) -> RegistryClient:
        """A client of the registry at `host`, with `login`, this identity, or neither."""
        credential: Credential | None = login
        if login is None and self.is_acr(host):
            credential = self.registry_credential()
        lookup = partial(self.caller.acr_command, host, subscription=self.subscription)
        return RegistryClient(
            host,
            credential,
            transport=self.transport,
            acr_command=lookup,
            prune_command=self.command("otelembed prune", "--registry", host, "--delete"),
            secrets=self.secrets,
            deadline=self.deadline,
        )

    def is_acr(self, host: str) -> bool:
        """Whether `host` (with or without port) lies in the cloud's domain of registries."""
        name = host.partition(":")[0].lower()
        suffix = self.acr_suffix.lstrip(".").lower()
        return bool(suffix) and (name == suffix or name.endswith("." + suffix))
