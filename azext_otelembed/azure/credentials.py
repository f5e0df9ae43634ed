"""Sign-in without `az login`: azure-identity's credentials, with errors that name the remedy."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azext_otelembed.az_commands import AZ_LOGIN
from azext_otelembed.connection_errors import cause, chain
from azext_otelembed.errors import InvalidInput, Unauthorized
from azext_otelembed.redaction import Secrets

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, TokenCredential

CLI, ENVIRONMENT = AZ_LOGIN, "environment"
WORKLOAD, MANAGED = "workload-identity", "managed-identity"
KINDS = (CLI, ENVIRONMENT, WORKLOAD, MANAGED)

TENANT, CLIENT = "AZURE_TENANT_ID", "AZURE_CLIENT_ID"
SECRET, CERTIFICATE = "AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH"
TOKEN_FILE = "AZURE_FEDERATED_TOKEN_FILE"  # noqa: S105  # the name of a variable
SECRETS = (SECRET, "AZURE_CLIENT_CERTIFICATE_PASSWORD", "IDENTITY_HEADER", "MSI_SECRET")
"""The variables of azure-identity whose values are secret."""

_ADVICE = {
    ENVIRONMENT: f"Set {TENANT}, {CLIENT} and {SECRET} (or {CERTIFICATE}) of a service principal "
    "that may deploy, or leave --credential out to use `az login`.",
    WORKLOAD: f"Set {TENANT}, {CLIENT} and {TOKEN_FILE}: Kubernetes does for pods labelled "
    "azure.workload.identity/use, other build services give a token to write to a file.",
    MANAGED: "Run it where Azure gives a managed identity (a virtual machine, a container, an app) "
    f"that may deploy; {CLIENT} names a user-assigned one.",
}
"""The remedy for each kind of credential."""
_UNREADABLE = (TypeError, ValueError, LookupError, AttributeError, OverflowError, RecursionError)
"""What azure-identity and msal raise for values of another type than they expect."""


class IdentityCredential:
    """A credential of azure-identity that raises `Unauthorized`, with the remedy.

    `secrets` are masked in the reason, which quotes Entra ID's response.
    """

    def __init__(self, kind: str, authority: str, inner: TokenCredential, secrets: Secrets) -> None:
        self._kind = kind
        self._authority = authority
        self._inner = inner
        self._secrets = secrets

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """A token for `scopes`. Raises `Unauthorized`."""
        from azure.core.exceptions import AzureError

        try:
            return self._inner.get_token(*scopes, **options)
        except AzureError as error:
            reason = self._reason(error)
        except _UNREADABLE:  # their messages may quote the answer
            reason = f"{self._at} gave an answer that can't be read."
        raise Unauthorized(f"--credential {self._kind}: {reason}", _ADVICE[self._kind])

    @property
    def _at(self) -> str:
        return self._authority if self._kind != MANAGED else "the managed identity endpoint"

    def _reason(self, error: Exception) -> str:
        from azure.core.exceptions import ServiceRequestError, ServiceResponseError

        for one in chain(error):
            if isinstance(one, ServiceRequestError | ServiceResponseError):
                return f"no answer from {self._at} ({cause(one)})."
        message = self._secrets.mask(str(getattr(error, "message", "") or error))
        first = message.partition("\n")[0].strip().removeprefix("Authentication failed: ")
        return self._secrets.brief(first)


def create(
    kind: str,
    authority: str,
    *,
    instance_discovery: bool,
    transport: Mapping[str, Any],
    secrets: Secrets,
) -> IdentityCredential:
    """The credential `kind`, from the environment. `authority` is Entra ID's address.

    `transport` holds azure-core's transport options. Raises `InvalidInput` for a missing variable.
    """
    if absent := missing(kind, os.environ):
        names = absent[0] if len(absent) == 1 else f"{', '.join(absent[:-1])} and {absent[-1]}"
        verb = "is" if len(absent) == 1 else "are"
        raise InvalidInput(f"--credential {kind}: {names} {verb} not set.", _ADVICE[kind])
    if kind == WORKLOAD:
        path = Path(os.environ[TOKEN_FILE])
        if not path.is_file() or not os.access(path, os.R_OK):
            message = f"--credential {kind}: {TOKEN_FILE} names '{path}', which can't be read."
            raise InvalidInput(message, _ADVICE[kind])
    from azext_otelembed.http_session import BoundedSession

    # Build services set missing variables to "", which azure-identity takes for a value.
    for name in (SECRET, CERTIFICATE):
        if os.environ.get(name) == "":
            del os.environ[name]
    # Its warnings repeat the errors raised here.
    logging.getLogger("azure.identity").setLevel(logging.ERROR)
    entra = {"authority": authority, "disable_instance_discovery": not instance_discovery}
    try:
        inner = _credential(kind, entra, {"session": BoundedSession(), **transport})
        return IdentityCredential(kind, authority, inner, secrets)
    except (ValueError, OSError) as error:
        file = isinstance(error, OSError) and f"'{error.filename}' can't be read: {error.strerror}."
        reason = file or error
        raise InvalidInput(f"--credential {kind}: {reason}", _ADVICE[kind]) from None


def missing(kind: str, environ: Mapping[str, str]) -> list[str]:
    """The variables that `kind` needs and that are missing or empty in `environ`."""
    needed = {ENVIRONMENT: [TENANT, CLIENT], WORKLOAD: [TENANT, CLIENT, TOKEN_FILE]}.get(kind, [])
    absent = [name for name in needed if not environ.get(name)]
    if kind == ENVIRONMENT and not environ.get(SECRET) and not environ.get(CERTIFICATE):
        absent.append(f"{SECRET} (or {CERTIFICATE})")
    return absent


def _credential(
    kind: str, entra: Mapping[str, Any], transport: Mapping[str, Any]
) -> TokenCredential:
    from azure import identity

    if kind == ENVIRONMENT:
        return identity.EnvironmentCredential(**entra, **transport)
    if kind == WORKLOAD:
        return identity.WorkloadIdentityCredential(**entra, **transport)
    # Without such an endpoint nothing responds at its address: hence the short timeouts.
    return identity.ManagedIdentityCredential(
        client_id=os.environ.get(CLIENT) or None,
        connection_timeout=3,
        read_timeout=30,
        retry_connect=1,
        **transport,
    )
