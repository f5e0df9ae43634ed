"""Token requests: the grant that a client gets, or the error response."""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass
from typing import Any

from localazure.aad import assertions
from localazure.aad.error_response import ErrorResponse
from localazure.double import Double
from localazure.state import Principal


@dataclass(frozen=True, slots=True)
class Granted:
    """A token and its lifetime in seconds."""

    token: str
    lifetime: int

    def body(self) -> dict[str, Any]:
        """The body of the response; for a long-lived token it has `refresh_in`."""
        answer: dict[str, Any] = {
            "token_type": "Bearer",
            "expires_in": self.lifetime,
            "ext_expires_in": self.lifetime,
        }
        if self.lifetime > 7200:
            answer["refresh_in"] = self.lifetime // 2
        return {**answer, "access_token": self.token}


def unknown_tenant(tenant: str) -> ErrorResponse:
    """AADSTS90002."""
    text = (
        f"Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are "
        "signing into the correct cloud. Check with your subscription administrator, this may "
        "happen if there are no active subscriptions for the tenant."
    )
    return ErrorResponse(400, "invalid_request", 90002, text)


def unknown_resource(double: Double, resource: str) -> ErrorResponse | None:
    """AADSTS500011 for a resource that the tenant doesn't have; else None."""
    if resource.rstrip("/") not in double.state.unknown_resources:
        return None
    text = (
        f"The resource principal named {resource} was not found in the tenant named localazure. "
        "This can happen if the application has not been installed by the administrator of the "
        "tenant or consented to by any user in the tenant. You might have sent your "
        "authentication request to the wrong tenant."
    )
    return ErrorResponse(400, "invalid_resource", 500011, text)


def grant(
    double: Double, tenant: str, form: dict[str, str], authorization: str | None
) -> Granted | ErrorResponse:
    """Answer a token request: `client_credentials` with a secret or a signed assertion."""
    if tenant.lower() != double.state.tenant.lower():
        return unknown_tenant(tenant)
    if form.get("grant_type") != "client_credentials":
        text = f"The app requested an unsupported grant type '{form.get('grant_type', '')}'."
        return ErrorResponse(400, "unsupported_grant_type", 70003, text)
    client_id, secret = _credentials(form, authorization)
    principal = double.state.principals.get(client_id.lower())
    if principal is None:
        text = (
            f"Application with identifier '{client_id}' was not found in the directory "
            "'localazure'. This can happen if the application has not been installed by the "
            "administrator of the tenant or consented to by any user in the tenant. You may have "
            "sent your authentication request to the wrong tenant."
        )
        return ErrorResponse(400, "unauthorized_client", 700016, text)
    if form.get("client_assertion_type") == assertions.TYPE and "client_assertion" in form:
        endpoint = f"{double.management}/{tenant}/oauth2/v2.0/token"
        refusal = assertions.check(double, principal, form["client_assertion"], endpoint)
    else:
        refusal = _check(principal, secret)
    if refusal:
        return refusal
    audience = _audience(form)
    if not audience:
        text = "The scope is not valid: it must be one resource followed by '/.default'."
        return ErrorResponse(400, "invalid_scope", 1002012, text)
    if unknown := unknown_resource(double, audience):
        return unknown
    token, lifetime = double.tokens.issue(principal, audience, cae="CP1" in form.get("claims", ""))
    return Granted(token, lifetime)


def _credentials(form: dict[str, str], authorization: str | None) -> tuple[str, str | None]:
    scheme, _, value = (authorization or "").partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", None
        return user, password
    return form.get("client_id", ""), form.get("client_secret")


def _check(principal: Principal, secret: str | None) -> ErrorResponse | None:
    if not secret:
        text = (
            "The request body must contain the following parameter: "
            "'client_assertion' or 'client_secret'."
        )
        return ErrorResponse(401, "invalid_client", 7000218, text)
    if not hmac.compare_digest(secret.encode(), principal.secret.encode()):
        text = (
            "Invalid client secret provided. Ensure the secret being sent in the request is the "
            "client secret value, not the client secret ID, for a secret added to app "
            f"'{principal.client_id}'."
        )
        return ErrorResponse(401, "invalid_client", 7000215, text)
    return None


def _audience(form: dict[str, str]) -> str:
    """The resource asked for. `…//.default` means an audience that ends with a slash."""
    if form.get("resource"):
        return form["resource"]
    scopes = form.get("scope", "").split()
    wanted = [s for s in scopes if s.endswith("/.default")]
    return wanted[0].removesuffix("/.default") if len(wanted) == 1 else ""
