"""Opens the session of one command: with `az login`, or with a credential of azure-identity."""

from __future__ import annotations

import configparser
import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from azext_otelembed._version import __version__
from azext_otelembed.az_commands import Caller
from azext_otelembed.azure import credentials
from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.session import ACR_AUDIENCE, CachedCredential, Session
from azext_otelembed.deadline import Deadline
from azext_otelembed.errors import InvalidInput, NotFound
from azext_otelembed.redaction import Secrets

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential


SUBSCRIPTION = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def open_session(cli_ctx: Any, credential: str, deadline: Deadline) -> Session:
    """The session of one command: `credential` is one of `credentials.KINDS`."""
    if credential == credentials.CLI:
        return from_az(cli_ctx, deadline)
    return from_identity(cli_ctx, credential, deadline)


def from_az(cli_ctx: Any, deadline: Deadline, subscription: str | None = None) -> Session:
    """The session of `az login`, in the subscription of `--subscription` or the default one.

    Raises az's own CLIError without a login or for an unknown subscription.
    """
    from azure.cli.core._profile import Profile

    wanted = subscription or cli_ctx.data.get("subscription_id")
    profile = Profile(cli_ctx=cli_ctx)
    credential, found, tenant = profile.get_login_credentials(subscription_id=wanted)
    caller = Caller(_current_subscription(profile))
    return _session(cli_ctx, credential, found, tenant, caller, Secrets(), deadline)


def from_identity(cli_ctx: Any, kind: str, deadline: Deadline) -> Session:
    """A session that signs in with a credential of azure-identity, independent of `az login`.

    The cloud is the one az is set to (`az cloud set`). Raises `InvalidInput` without
    --subscription or for a missing variable, `Unauthorized` where the credential isn't accepted,
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
    secrets = Secrets()
    secrets.add(*(os.environ.get(name) for name in credentials.SECRETS))
    credential = credentials.create(
        kind,
        cli_ctx.cloud.endpoints.active_directory.rstrip("/"),
        instance_discovery=cli_ctx.config.getboolean("core", "instance_discovery", True),
        transport=_transport(),
        secrets=secrets,
    )
    tenant, caller = os.environ.get(credentials.TENANT, ""), Caller("", kind)
    session = _session(cli_ctx, credential, wanted, tenant, caller, secrets, deadline)
    return session if SUBSCRIPTION.fullmatch(wanted) else _resolve_subscription(session)


def _current_subscription(profile: Any) -> str:
    """The id of az's current subscription; empty where none is set."""
    from knack.util import CLIError

    try:
        return str(profile.get_subscription()["id"])
    except CLIError:
        return ""


def _session(
    cli_ctx: Any,
    credential: TokenCredential,
    subscription: str,
    tenant: str,
    caller: Caller,
    secrets: Secrets,
    deadline: Deadline,
) -> Session:
    from azure.cli.core.auth.util import resource_to_scopes
    from azure.cli.core.util import get_az_user_agent

    cloud = cli_ctx.cloud
    return Session(
        credential=CachedCredential(credential, secrets),
        subscription=subscription,
        tenant=tenant,
        arm_endpoint=cloud.endpoints.resource_manager.rstrip("/"),
        arm_scope=resource_to_scopes(cloud.endpoints.active_directory_resource_id)[0],
        acr_suffix=getattr(cloud.suffixes, "acr_login_server_endpoint", None) or "",
        acr_scope=resource_to_scopes(_acr_audience(cli_ctx))[0],
        transport=_transport(),
        user_agent=f"{get_az_user_agent()} otelembed/{__version__}",
        caller=caller,
        secrets=secrets,
        deadline=deadline,
    )


def _acr_audience(cli_ctx: Any) -> str:
    """The audience that `az acr` asks for: `acr.audience_resource` of az's configuration.

    A value without `https://` is the short name of a resource below azure.net.
    """
    try:
        configured = str(cli_ctx.config.get("acr", "audience_resource", fallback=None) or "")
    except configparser.Error:
        return ACR_AUDIENCE
    if not configured or configured.startswith("https://"):
        return configured or ACR_AUDIENCE
    return f"https://{configured}.azure.net"


def _transport() -> dict[str, Any]:
    from azure.cli.core import _debug

    return dict(_debug.change_ssl_cert_verification_track2())


def _resolve_subscription(session: Session) -> Session:
    """The same session, with the subscription's name replaced by its id."""
    found = Arm(session).subscriptions()
    for one, name in found.items():
        if name.lower() == session.subscription.lower():
            return replace(session, subscription=one)
    raise NotFound(
        f"Subscription '{session.subscription}' was not found (visible: "
        f"{', '.join(found.values()) or 'none'}).",
        "Give its id, and check that the credential has a role in it.",
    )
