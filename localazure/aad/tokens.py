"""Access tokens: issued to principals, and checked by the services.

RS256-signed JWTs with the claims that services check: aud, iss, iat, nbf, exp, appid, oid, tid.
"""

from __future__ import annotations

import base64
import hashlib
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from localazure.state import Principal

LIFETIME = 3599
CAE_LIFETIME = 86399
"""Seconds, for a client with the capability CP1 (continuous access evaluation)."""


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a request's token."""

    object_id: str
    client_id: str
    tenant: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a token was refused."""

    code: str
    message: str
    challenge: str
    """The value of WWW-Authenticate."""


class Tokens:
    """Issues and checks the tokens of one tenant."""

    def __init__(self, key: rsa.RSAPrivateKey, tenant: str) -> None:
        self._key = key
        self._tenant = tenant
        der = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self._kid = (
            base64.urlsafe_b64encode(hashlib.sha256(der).digest()[:20]).rstrip(b"=").decode()
        )
        self.lifetime: int | None = None
        """Seconds that new tokens live; None for Entra's own lifetimes."""

    def issue(self, principal: Principal, audience: str, *, cae: bool = False) -> tuple[str, int]:
        """A token for `principal`, and its lifetime in seconds."""
        lifetime = self.lifetime or (CAE_LIFETIME if cae else LIFETIME)
        now = int(time.time())
        claims = {
            "aud": audience,
            "iss": f"https://sts.windows.net/{self._tenant}/",
            "iat": now,
            "nbf": now,
            "exp": now + lifetime,
            "appid": principal.client_id,
            "appidacr": "1",
            "idtyp": "app",
            "oid": principal.object_id,
            "sub": principal.object_id,
            "tid": self._tenant,
            "uti": uuid.uuid4().hex[:22],
            "ver": "1.0",
        }
        return self.sign(claims), lifetime

    def workload(
        self,
        issuer: str,
        subject: str,
        audience: str = "api://AzureADTokenExchange",
        lifetime: int = 600,
    ) -> str:
        """The workload token of a job in a build service or of a pod in a cluster."""
        now = int(time.time())
        times = {"iat": now, "nbf": now, "exp": now + lifetime}
        return self.sign(
            {"iss": issuer, "sub": subject, "aud": audience, "jti": uuid.uuid4().hex, **times}
        )

    def check(self, authorization: str | None, audiences: Iterable[str]) -> Claims | Problem:
        """The claims of the header `Authorization: Bearer …`; a Problem for an invalid token.

        `audiences` are compared without their trailing slashes.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return self._problem(
                "AuthenticationFailed",
                "Authentication failed. The 'Authorization' header is missing.",
                "The authentication failed because of missing 'Authorization' header.",
            )
        try:
            claims = self.read(token.strip())
        except jwt.ExpiredSignatureError:
            return self._expired(token.strip())
        except jwt.InvalidTokenError:
            text = "The access token is invalid."
            return self._problem("InvalidAuthenticationToken", text, text)
        wanted = {audience.rstrip("/") for audience in audiences}
        if str(claims["aud"]).rstrip("/") not in wanted:
            text = (
                "The access token has been obtained for wrong audience or resource "
                f"'{claims['aud']}'. It should exactly match with one of the allowed audiences "
                + ",".join(f"'{audience}'" for audience in sorted(wanted))
                + "."
            )
            return self._problem("InvalidAuthenticationToken", text, text)
        return Claims(claims["oid"], claims["appid"], claims["tid"])

    def sign(self, claims: dict[str, Any]) -> str:
        """A JWT with these claims."""
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": self._kid})

    def read(self, token: str, audience: str | None = None) -> dict[str, Any]:
        """The claims of a JWT that was issued here. Raises jwt.InvalidTokenError."""
        options: Any = {"verify_aud": audience is not None, "require": ["exp"]}
        key = self._key.public_key()
        claims: dict[str, Any] = jwt.decode(
            token, key, algorithms=["RS256"], audience=audience, options=options
        )
        return claims

    def keys(self) -> dict[str, Any]:
        """The public key as a JSON Web Key Set."""
        numbers = self._key.public_key().public_numbers()
        key = {"kty": "RSA", "use": "sig", "kid": self._kid, "n": _b64(numbers.n)}
        return {"keys": [{**key, "e": _b64(numbers.e), "alg": "RS256"}]}

    def _expired(self, token: str) -> Problem:
        claims = jwt.decode(token, options={"verify_signature": False})
        expiry = _us(datetime.fromtimestamp(claims["exp"], timezone.utc))
        now = _us(datetime.now(timezone.utc))
        text = (
            f"The access token expiry UTC time '{expiry}' is earlier than current UTC time '{now}'."
        )
        return self._problem("ExpiredAuthenticationToken", text, text)

    def _problem(self, code: str, message: str, description: str) -> Problem:
        challenge = (
            f'Bearer authorization_uri="https://login.windows.net/{self._tenant}", '
            f'error="invalid_token", error_description="{description}"'
        )
        return Problem(code, message, challenge)


def _us(moment: datetime) -> str:
    """`3/19/2023 8:55:46 AM`, as ARM writes times in this message."""
    hour = moment.hour % 12 or 12
    half = "AM" if moment.hour < 12 else "PM"
    return f"{moment.month}/{moment.day}/{moment.year} {hour}:{moment:%M:%S} {half}"


def _b64(number: int) -> str:
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
