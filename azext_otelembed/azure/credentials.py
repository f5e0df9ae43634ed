"""Signing in without `az login`: azure-identity's credentials, and what they miss, in words."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azext_otelembed.azure.arm_errors import cause
from azext_otelembed.errors import InvalidInput, Unauthorized

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, TokenCredential

CLI, ENVIRONMENT, WORKLOAD, MANAGED = "cli", "environment", "workload-identity", "managed-identity"
KINDS = (CLI, ENVIRONMENT, WORKLOAD, MANAGED)

TENANT, CLIENT = "AZURE_TENANT_ID", "AZURE_CLIENT_ID"
SECRET, CERTIFICATE = "AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH"
TOKEN_FILE = "AZURE_FEDERATED_TOKEN_FILE"  # noqa: S105  # the name of a variable

_ADVICE = {
    ENVIRONMENT: f"Set {TENANT}, {CLIENT} and {SECRET} (or {CERTIFICATE}) of a service principal "
    "that may deploy, or leave --credential out to use `az login`.",
    WORKLOAD: f"Set {TENANT}, {CLIENT} and {TOKEN_FILE}: Kubernetes does for pods labelled "
    "azure.workload.identity/use, other build services give a token to write to a file.",
    MANAGED: "Run it where Azure gives a managed identity (a virtual machine, a container, an app) "
    f"that may deploy; {CLIENT} names a user-assigned one.",
}
"""What to do about each credential."""


FRESH = 10.0
"""Seconds for which a refusal counts for all who ask: calls side by side, or many sites."""


class Identity:
    """A credential of azure-identity whose failures are errors of ours."""

    def __init__(self, kind: str, authority: str, inner: TokenCredential) -> None:
        self._kind = kind
        self._authority = authority
        self._inner = inner
        self._refusal = ""
        self._refused_at = 0.0

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """A token for `scopes`. Raises `Unauthorized` when the caller gets none."""
        from azure.core.exceptions import AzureError

        if not self._refusal or time.monotonic() - self._refused_at > FRESH:
            try:
                return self._inner.get_token(*scopes, **options)
            except AzureError as error:
                self._refusal = f"--credential {self._kind}: {self._words(error)}"
                self._refused_at = time.monotonic()
        raise Unauthorized(self._refusal, _ADVICE[self._kind])

    def _words(self, error: Exception) -> str:
        from azure.core.exceptions import ServiceRequestError, ServiceResponseError

        at = self._authority if self._kind != MANAGED else "the managed identity endpoint"
        for below in _chain(error):
            if isinstance(below, ServiceRequestError | ServiceResponseError):
                return f"no answer from {at} ({cause(below)})."
        said = str(getattr(error, "message", "") or error).partition("\n")[0].strip()
        return said.removeprefix("Authentication failed: ")


def make(
    kind: str, authority: str, *, instance_discovery: bool, transport: Mapping[str, Any]
) -> Identity:
    """The credential `kind`, from the environment. `authority` is Entra ID's address.

    `transport` holds azure-core's transport options. Raises `InvalidInput`, naming what is missing.
    """
    check(kind, os.environ)
    # Build services set what they don't have to nothing; azure-identity takes that for a value.
    for name in (SECRET, CERTIFICATE):
        if os.environ.get(name) == "":
            del os.environ[name]
    # It warns of what is told here in words.
    logging.getLogger("azure.identity").setLevel(logging.ERROR)
    entra = {"authority": authority, "disable_instance_discovery": not instance_discovery}
    try:
        return Identity(kind, authority, _makers(kind)(entra, dict(transport)))
    except (ValueError, OSError) as error:
        file = isinstance(error, OSError) and f"'{error.filename}' can't be read: {error.strerror}."
        reason = file or error
        raise InvalidInput(f"--credential {kind}: {reason}", _ADVICE[kind]) from None


def tenant() -> str:
    """The tenant to sign in to; empty where only Azure knows it."""
    return os.environ.get(TENANT, "")


def check(kind: str, environ: Mapping[str, str]) -> None:
    """Raises `InvalidInput` for variables that `kind` needs and `environ` lacks."""
    gone = missing(kind, environ)
    if gone:
        verb = "is" if len(gone) == 1 else "are"
        raise InvalidInput(f"--credential {kind}: {_listed(gone)} {verb} not set.", _ADVICE[kind])
    if kind == WORKLOAD:
        path = Path(environ[TOKEN_FILE])
        if not path.is_file() or not os.access(path, os.R_OK):
            raise InvalidInput(
                f"--credential {kind}: {TOKEN_FILE} names '{path}', which can't be read.",
                _ADVICE[kind],
            )


def missing(kind: str, environ: Mapping[str, str]) -> list[str]:
    """The variables that `kind` needs and `environ` lacks, or has empty."""
    needed = {ENVIRONMENT: [TENANT, CLIENT], WORKLOAD: [TENANT, CLIENT, TOKEN_FILE]}.get(kind, [])
    gone = [name for name in needed if not environ.get(name)]
    if kind == ENVIRONMENT and not environ.get(SECRET) and not environ.get(CERTIFICATE):
        gone.append(f"{SECRET} (or {CERTIFICATE})")
    return gone


def _makers(kind: str) -> Callable[[dict[str, Any], dict[str, Any]], TokenCredential]:
    from azure import identity

    def environment(entra: dict[str, Any], transport: dict[str, Any]) -> TokenCredential:
        return identity.EnvironmentCredential(**entra, **transport)

    def workload(entra: dict[str, Any], transport: dict[str, Any]) -> TokenCredential:
        return identity.WorkloadIdentityCredential(**entra, **transport)

    def managed(_entra: dict[str, Any], transport: dict[str, Any]) -> TokenCredential:
        # Where there is no such endpoint, its address is silent: not to be waited for long.
        return identity.ManagedIdentityCredential(
            client_id=os.environ.get(CLIENT) or None,
            connection_timeout=3,
            read_timeout=30,
            retry_connect=1,
            **transport,
        )

    return {ENVIRONMENT: environment, WORKLOAD: workload, MANAGED: managed}[kind]


def _chain(error: BaseException | None) -> Iterable[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
