"""Who calls Azure, and where Azure is: credential, subscription and endpoints of one command."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from azext_otelembed import __version__
from azext_otelembed.azure import identity
from azext_otelembed.azure.shape import text
from azext_otelembed.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, TokenCredential

    from azext_otelembed.azure.arm import Arm

SUBSCRIPTION = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
SUBSCRIPTIONS_API = "2022-12-01"


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


def open_session(cli_ctx: Any, credential: str) -> Session:
    """The session of one command: `credential` is one of `identity.KINDS`."""
    return from_az(cli_ctx) if credential == identity.CLI else from_identity(cli_ctx, credential)


def from_az(cli_ctx: Any, subscription: str | None = None) -> Session:
    """The session of `az login`, in the subscription of `--subscription` or the default one.

    Raises az's own CLIError when nobody is logged in or the subscription isn't known.
    """
    from azure.cli.core._profile import Profile

    wanted = subscription or cli_ctx.data.get("subscription_id")
    credential, found, tenant = Profile(cli_ctx=cli_ctx).get_login_credentials(
        subscription_id=wanted
    )
    return _session(cli_ctx, credential, found, tenant)


def from_identity(cli_ctx: Any, kind: str) -> Session:
    """A session that signs in with a credential of azure-identity, whoever is logged in to az.

    The cloud is the one az is set to (`az cloud set`). Raises `InvalidInput` without
    --subscription or for what the credential lacks, `Unauthorized` where it isn't accepted,
    `NotFound` for an unknown subscription.
    """
    wanted = cli_ctx.data.get("subscription_id")
    if not wanted:
        raise InvalidInput(
            f"--credential {kind} needs --subscription: the default one is that of `az login`, "
            "which isn't used.",
            "Add `--subscription ID`; `az account list -o table` shows the ids where you are "
            "logged in.",
        )
    endpoints = cli_ctx.cloud.endpoints
    credential = identity.make(
        kind,
        endpoints.active_directory.rstrip("/"),
        instance_discovery=cli_ctx.config.getboolean("core", "instance_discovery", True),
        transport=_transport(),
    )
    session = _session(cli_ctx, credential, wanted, identity.tenant())
    return session if SUBSCRIPTION.fullmatch(wanted) else _named(session)


def _session(cli_ctx: Any, credential: TokenCredential, subscription: str, tenant: str) -> Session:
    from azure.cli.core.auth.util import resource_to_scopes
    from azure.cli.core.util import get_az_user_agent

    cloud = cli_ctx.cloud
    return Session(
        credential=CachedCredential(credential),
        subscription=subscription,
        tenant=tenant,
        arm_endpoint=cloud.endpoints.resource_manager.rstrip("/"),
        arm_scope=resource_to_scopes(cloud.endpoints.active_directory_resource_id)[0],
        acr_suffix=getattr(cloud.suffixes, "acr_login_server_endpoint", None) or "",
        transport=_transport(),
        user_agent=f"{get_az_user_agent()} otelembed/{__version__}",
    )


def _transport() -> dict[str, Any]:
    from azure.cli.core import _debug

    options: dict[str, Any] = _debug.change_ssl_cert_verification_track2()
    return options


def subscriptions(arm: Arm) -> dict[str, str]:
    """The names of all subscriptions that the caller sees, by id."""
    what = "Subscriptions"
    listed = arm.get_all(what, "/subscriptions", SUBSCRIPTIONS_API)
    return {text(what, one, "subscriptionId"): str(one.get("displayName")) for one in listed}


def _named(session: Session) -> Session:
    """The same session in the subscription of that name, which az can't look up logged out."""
    from azext_otelembed.azure.arm import Arm

    seen = subscriptions(Arm(session))
    for one, name in seen.items():
        if name.lower() == session.subscription.lower():
            return replace(session, subscription=one)
    names = ", ".join(seen.values()) or "none"
    raise NotFound(
        f"Subscription '{session.subscription}' was not found (visible: {names}).",
        "Give its id, and see that the credential holds a role in it.",
    )
