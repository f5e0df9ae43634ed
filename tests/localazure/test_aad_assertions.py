"""Login with a signed assertion instead of a secret: federated tokens and certificates."""

from __future__ import annotations

import base64
import itertools
import time
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import httpx
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from localazure.aad.assertions import TYPE
from localazure.client import LocalAzure
from tests.localazure.core_support import claims

ARM = "https://management.core.windows.net/"
SUBJECT = "repo:shop/app:environment:production"
NUMBERS = itertools.count(1)


def client_id() -> str:
    return f"a55e0000-0000-4000-8000-{next(NUMBERS):012}"


@pytest.fixture
def federated(azure: LocalAzure) -> str:
    """The client id of a principal that trusts the double's workloads with one subject."""
    name = client_id()
    azure.add_principal(name, "", federations=[{"subject": SUBJECT}])
    return name


def ask(azure: LocalAzure, http: httpx.Client, client: str, assertion: str) -> httpx.Response:
    form = {
        "grant_type": "client_credentials",
        "client_id": client,
        "client_assertion_type": TYPE,
        "client_assertion": assertion,
        "scope": f"{ARM}/.default",
    }
    return http.post(f"{azure.management}/{azure.tenant}/oauth2/v2.0/token", data=form)


def number(answer: httpx.Response) -> int:
    (found,) = answer.json()["error_codes"]
    return int(found)


def test_a_federated_token_gets_an_access_token_of_the_principal(
    azure: LocalAzure, http: httpx.Client, federated: str
) -> None:
    answer = ask(azure, http, federated, azure.workload_token(SUBJECT))
    token = answer.raise_for_status().json()["access_token"]
    assert claims(token)["appid"] == federated


@pytest.mark.parametrize(
    ("subject", "claims", "expected", "said"),
    [
        ("repo:shop/app:ref:refs/heads/main", {}, 700213, "assertion subject 'repo:shop/app:ref"),
        (SUBJECT.upper(), {}, 7002138, "not with case-sensitive comparison"),
        (SUBJECT, {"audience": "someone-else"}, 700212, "assertion audience 'someone-else'"),
        (SUBJECT, {"lifetime": -10}, 700024, "not within its valid time range"),
    ],
)
def test_claims_without_a_matching_federated_credential_are_refused(
    azure: LocalAzure,
    http: httpx.Client,
    federated: str,
    subject: str,
    claims: dict[str, Any],
    expected: int,
    said: str,
) -> None:
    answer = ask(azure, http, federated, azure.workload_token(subject, **claims))
    assert (answer.status_code, number(answer)) == (401, expected)
    assert said in answer.json()["error_description"]


def test_another_issuer_is_refused(azure: LocalAzure, http: httpx.Client, federated: str) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    claims = {"iss": "https://elsewhere", "sub": SUBJECT, "aud": "api://AzureADTokenExchange"}
    foreign = jwt.encode({**claims, "exp": time.time() + 60}, key, algorithm="RS256")
    assert number(ask(azure, http, federated, foreign)) == 700211
    trusting = client_id()
    federation = {"subject": SUBJECT, "issuer": "https://elsewhere"}
    azure.add_principal(trusting, "", federations=[federation])
    # Trusted, but the double doesn't read keys from other addresses.
    assert number(ask(azure, http, trusting, foreign)) == 50166


def test_forged_signatures_and_malformed_tokens_are_refused(
    azure: LocalAzure, http: httpx.Client, federated: str
) -> None:
    head, body, _ = azure.workload_token(SUBJECT).split(".")
    forged = f"{head}.{body}.{base64.urlsafe_b64encode(bytes(256)).decode().rstrip('=')}"
    assert number(ask(azure, http, federated, forged)) == 700027
    assert number(ask(azure, http, federated, "nonsense")) == 50027


def test_the_issuer_of_workload_tokens_publishes_the_address_of_its_keys(
    azure: LocalAzure, http: httpx.Client
) -> None:
    token = azure.workload_token(SUBJECT)
    issuer = claims(token)["iss"]
    found = http.get(f"{issuer}/.well-known/openid-configuration").json()
    assert found["issuer"] == issuer
    key = jwt.PyJWK(http.get(found["jwks_uri"]).json()["keys"][0])
    audience = "api://AzureADTokenExchange"
    assert jwt.decode(token, key.key, algorithms=["RS256"], audience=audience)["sub"] == SUBJECT


@dataclass
class Signer:
    """A certificate, and assertions that it signs."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def assertion(self, client: str, endpoint: str, **claims: Any) -> str:
        raw = self.certificate.fingerprint(hashes.SHA256())
        told = {"iss": client, "sub": client, "aud": endpoint, "jti": uuid.uuid4().hex}
        thumbprint = base64.urlsafe_b64encode(raw).decode().rstrip("=")
        payload = {**told, "exp": time.time() + 60, **claims}
        return jwt.encode(payload, self.key, algorithm="PS256", headers={"x5t#S256": thumbprint})


@pytest.fixture(scope="module")
def signer() -> Signer:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "release")])
    now = datetime.now(timezone.utc)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + timedelta(days=1))
    return Signer(key, builder.sign(key, hashes.SHA256()))


def test_a_certificate_replaces_the_secret(
    azure: LocalAzure, http: httpx.Client, signer: Signer
) -> None:
    client = client_id()
    azure.add_principal(client, "", certificates=[signer.pem])
    endpoint = f"{azure.management}/{azure.tenant}/oauth2/v2.0/token"
    assert ask(azure, http, client, signer.assertion(client, endpoint)).status_code == 200
    late = signer.assertion(client, endpoint, exp=time.time() - 10)
    assert number(ask(azure, http, client, late)) == 700024
    elsewhere = signer.assertion(client, "https://elsewhere")
    assert number(ask(azure, http, client, elsewhere)) == 700027
    other = client_id()
    azure.add_principal(other, "")
    assert number(ask(azure, http, other, signer.assertion(other, endpoint))) == 700027
