"""Signed assertions in place of a client secret (RFC 7523): certificates and federated tokens."""

from __future__ import annotations

import base64
from datetime import datetime, timezone
from typing import Any

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.x509 import Certificate, load_pem_x509_certificate

from localazure.aad.error_response import ErrorResponse
from localazure.double import Double
from localazure.state import Principal

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_HELP = (
    "Check your federated identity credential Subject, Audience and Issuer against the presented "
    "assertion. https://learn.microsoft.com/entra/workload-id/workload-identity-federation"
)
_UNCHECKED: Any = {"verify_signature": False}


def check(
    double: Double, principal: Principal, assertion: str, endpoint: str
) -> ErrorResponse | None:
    """Check that `assertion` authenticates `principal`; `endpoint` is the token endpoint's address.

    Returns None for a valid assertion. An assertion that the client issued is signed with its
    certificate; the issuer of any other is named in a federated credential of the principal.
    """
    try:
        claims = jwt.decode(assertion, options=_UNCHECKED)
        header = jwt.get_unverified_header(assertion)
    except jwt.InvalidTokenError:
        return ErrorResponse(400, "invalid_request", 50027, "JWT token is invalid or malformed.")
    if str(claims.get("iss", "")).lower() == principal.client_id.lower():
        return _by_certificate(principal, assertion, header, endpoint)
    return _federated(double, principal, claims) or _issued(double, assertion, claims)


def _federated(
    double: Double, principal: Principal, claims: dict[str, Any]
) -> ErrorResponse | None:
    """Matches issuer, then subject, then audience: exactly, case included."""
    issuer, subject = str(claims.get("iss", "")), str(claims.get("sub", ""))
    audience = str(claims.get("aud", ""))
    trusted = [one for one in principal.federations if one.issuer == issuer]
    if not trusted:
        return _unmatched(700211, "issuer", issuer)
    known = [one for one in trusted if one.subject == subject]
    if not known and any(one.subject.lower() == subject.lower() for one in trusted):
        case = (
            "The subject matches with case-insensitive comparison, but not with case-sensitive "
            "comparison. "
        )
        return _unmatched(7002138, "subject", subject, case)
    if not known:
        return _unmatched(700213, "subject", subject)
    if not any(one.audience == audience for one in known):
        return _unmatched(700212, "audience", audience)
    if issuer != double.workloads:
        # Entra ID reads the issuer's keys from its address; the double is the only issuer here.
        return ErrorResponse(
            400, "invalid_request", 50166, "Request to External OIDC endpoint failed."
        )
    return None


def _issued(double: Double, assertion: str, claims: dict[str, Any]) -> ErrorResponse | None:
    try:
        double.tokens.read(assertion)
    except jwt.ExpiredSignatureError:
        return _out_of_time(claims)
    except jwt.InvalidTokenError:
        return _bad_signature("The signature of the federated token is invalid.")
    return None


def _by_certificate(
    principal: Principal, assertion: str, header: dict[str, Any], endpoint: str
) -> ErrorResponse | None:
    named = str(header.get("x5t#S256") or header.get("x5t") or "").rstrip("=")
    loaded = (load_pem_x509_certificate(pem.encode()) for pem in principal.certificates)
    signer = next((one for one in loaded if named in _thumbprints(one)), None)
    if signer is None:
        reason = f"Reason - The key was not found., Thumbprint of key used by client: '{named}'"
        return _bad_signature(
            "The certificate with identifier used to sign the client assertion is not registered "
            f"on application. [{reason}]"
        )
    key: Any = signer.public_key()
    try:
        jwt.decode(assertion, key, algorithms=["RS256", "PS256"], audience=endpoint)
    except jwt.ExpiredSignatureError:
        return _out_of_time(jwt.decode(assertion, options=_UNCHECKED))
    except jwt.InvalidTokenError:
        return _bad_signature("Client assertion failed signature validation.")
    return None


def _thumbprints(certificate: Certificate) -> set[str]:
    kinds = (hashes.SHA1(), hashes.SHA256())  # noqa: S303  # how Entra ID names certificates
    raw = [certificate.fingerprint(kind) for kind in kinds]
    return {base64.urlsafe_b64encode(one).rstrip(b"=").decode() for one in raw}


def _unmatched(number: int, what: str, value: str, more: str = "") -> ErrorResponse:
    text = (
        f"No matching federated identity record found for presented assertion {what} '{value}'. "
        f"{more}{_HELP}"
    )
    return ErrorResponse(401, "invalid_client", number, text)


def _bad_signature(text: str) -> ErrorResponse:
    return ErrorResponse(401, "invalid_client", 700027, text)


def _out_of_time(claims: dict[str, Any]) -> ErrorResponse:
    until = datetime.fromtimestamp(int(claims["exp"]), timezone.utc)
    now = datetime.now(timezone.utc)
    text = (
        "Client assertion is not within its valid time range. Current time: "
        f"{now:%Y-%m-%dT%H:%M:%S.%fZ}, expiry time of assertion {until:%Y-%m-%dT%H:%M:%S.%fZ}."
    )
    return ErrorResponse(401, "invalid_client", 700024, text)
