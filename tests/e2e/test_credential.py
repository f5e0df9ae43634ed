"""`--credential`: a release step without `az login`, by each credential, against the double."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from localazure.az import Az
from localazure.client import LocalAzure
from tests.e2e.support import EXTENSIONS, Answer, Cloud, Site
from tests.warm import WarmAz

SUBJECT = "repo:shop/app:environment:production"
SECRET = "kept-by-the-build-service"
NUMBERS = itertools.count(1)
Environment = Callable[[LocalAzure, Path], dict[str, str]]


@pytest.fixture(scope="module")
def stranger(cloud: Cloud) -> Iterator[Az]:
    """An az that is set to the double's cloud, and that nobody ever logged in to."""
    with WarmAz(cloud.local, cloud.directory / "logged-out", EXTENSIONS) as az:
        az.prepare()
        yield az


@dataclass(frozen=True)
class Caller:
    """Runs commands with a credential, logged out."""

    cloud: Cloud
    az: Az
    kind: str
    environment: dict[str, str]

    def __call__(self, *arguments: str, subscription: bool = True) -> Answer:
        named = ("--subscription", self.cloud.local.subscription) if subscription else ()
        credential = ("--credential", self.kind)
        return self.cloud.otelembed(
            *arguments, *named, *credential, az=self.az, env=self.environment
        )


def owner(local: LocalAzure) -> list[dict[str, str]]:
    return [{"role": "Contributor", "scope": f"/subscriptions/{local.subscription}"}]


def client_id() -> str:
    return f"66666666-0000-4000-8000-{next(NUMBERS):012}"


def secret(local: LocalAzure, _folder: Path) -> dict[str, str]:
    client = client_id()
    local.add_principal(client, SECRET, owner(local))
    return {
        "AZURE_TENANT_ID": local.tenant,
        "AZURE_CLIENT_ID": client,
        "AZURE_CLIENT_SECRET": SECRET,
    }


def certificate(local: LocalAzure, folder: Path) -> dict[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "release")])
    now = datetime.now(timezone.utc)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = folder / "certificate.pem"
    path.write_bytes(private + pem)
    client = client_id()
    local.add_principal(client, "", owner(local), certificates=[pem.decode()])
    return {
        "AZURE_TENANT_ID": local.tenant,
        "AZURE_CLIENT_ID": client,
        # As GitHub sets the variable of a secret that isn't there.
        "AZURE_CLIENT_SECRET": "",
        "AZURE_CLIENT_CERTIFICATE_PATH": str(path),
    }


def workload(local: LocalAzure, folder: Path) -> dict[str, str]:
    client = client_id()
    local.add_principal(client, "", owner(local), federations=[{"subject": SUBJECT}])
    path = folder / "token"
    path.write_text(local.workload_token(SUBJECT))
    return {
        "AZURE_TENANT_ID": local.tenant,
        "AZURE_CLIENT_ID": client,
        "AZURE_FEDERATED_TOKEN_FILE": str(path),
    }


def app_service(local: LocalAzure, _folder: Path) -> dict[str, str]:
    host = local.add_host(roles=owner(local))
    return {"IDENTITY_ENDPOINT": host["endpoint"], "IDENTITY_HEADER": host["header"]}


def machine(local: LocalAzure, _folder: Path) -> dict[str, str]:
    """A virtual machine, with an identity assigned to it."""
    host = local.add_host(system=False, user=[{"roles": owner(local)}])
    (client,) = host["user_client_ids"]
    return {"AZURE_POD_IDENTITY_AUTHORITY_HOST": host["imds"], "AZURE_CLIENT_ID": client}


CREDENTIALS = [
    pytest.param("environment", secret, id="secret"),
    pytest.param("environment", certificate, id="certificate"),
    pytest.param("workload-identity", workload, id="workload"),
    pytest.param("managed-identity", app_service, id="app-service"),
    pytest.param("managed-identity", machine, id="virtual-machine"),
]


@pytest.mark.parametrize(("kind", "environment"), CREDENTIALS)
def test_a_release_needs_no_az_login(
    cloud: Cloud,
    make_site: Callable[..., Site],
    stranger: Az,
    tmp_path: Path,
    kind: str,
    environment: Environment,
) -> None:
    site = make_site()
    call = Caller(cloud, stranger, kind, environment(cloud.local, tmp_path))
    done = call("deploy", *site.arguments, "--no-wait")
    assert done.returncode == 0, done.show()
    assert done.json["changed"]
    assert site.runs == done.json["image"]["name"]
    # az itself neither logged in nor remembers anything.
    assert "not recognized" not in done.stderr
    assert cloud.run("account", "show", az=stranger).returncode == 1


def test_the_other_commands_sign_in_so_too(
    cloud: Cloud, site: Site, stranger: Az, tmp_path: Path
) -> None:
    call = Caller(cloud, stranger, "environment", secret(cloud.local, tmp_path))
    assert call("deploy", *site.arguments, "--no-wait").json["release"]["state"] == "pending"
    assert call("wait", *site.arguments).json["release"]["state"] == "succeeded"
    assert call("status", *site.arguments, "--check", "--wait", "60").returncode == 0
    assert [one["state"] for one in call("history", *site.arguments).json] == ["succeeded"]


def test_a_subscription_may_be_named_though_nobody_is_logged_in(
    cloud: Cloud, site: Site, stranger: Az, tmp_path: Path
) -> None:
    environment = secret(cloud.local, tmp_path)
    call = Caller(cloud, stranger, "environment", environment)
    named = call("history", *site.arguments, "--subscription", "LocalAzure", subscription=False)
    assert (named.returncode, named.json) == (0, [])
    unknown = call("history", *site.arguments, "--subscription", "other", subscription=False)
    assert unknown.returncode == 3
    assert "Subscription 'other' was not found (visible: localazure)" in unknown.stderr
    # And as ever for who is logged in.
    own = cloud.otelembed("history", *site.arguments, "--subscription", "LOCALAZURE")
    assert own.json == []
    foreign = cloud.otelembed("history", *site.arguments, "--subscription", "other")
    assert foreign.returncode == 1
    assert "Subscription 'other' not found" in foreign.stderr
    assert "not recognized" not in foreign.stderr


def test_without_a_subscription_it_says_what_to_type(
    cloud: Cloud, site: Site, tmp_path: Path
) -> None:
    # Though this az is logged in: its default subscription is of another caller.
    call = Caller(cloud, cloud.az, "environment", secret(cloud.local, tmp_path))
    done = call("status", *site.arguments, subscription=False)
    assert done.returncode == 1
    assert "--credential environment needs --subscription" in done.stderr
    assert "Add `--subscription ID`" in done.stderr
    assert not done.requests


@pytest.mark.parametrize(
    ("kind", "environment", "said"),
    [
        (
            "environment",
            {},
            "AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET (or "
            "AZURE_CLIENT_CERTIFICATE_PATH) are not set.",
        ),
        (
            "environment",
            {"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "", "AZURE_CLIENT_SECRET": "s"},
            "AZURE_CLIENT_ID is not set.",
        ),
        (
            "environment",
            {
                "AZURE_TENANT_ID": "t",
                "AZURE_CLIENT_ID": "c",
                "AZURE_CLIENT_CERTIFICATE_PATH": "/nowhere.pem",
            },
            "'/nowhere.pem' can't be read: No such file or directory.",
        ),
        (
            "workload-identity",
            {"AZURE_CLIENT_ID": "c"},
            "AZURE_TENANT_ID and AZURE_FEDERATED_TOKEN_FILE are not set.",
        ),
        (
            "workload-identity",
            {
                "AZURE_TENANT_ID": "t",
                "AZURE_CLIENT_ID": "c",
                "AZURE_FEDERATED_TOKEN_FILE": "/nowhere/token",
            },
            "AZURE_FEDERATED_TOKEN_FILE names '/nowhere/token', which can't be read.",
        ),
    ],
)
def test_what_a_credential_lacks_is_named(
    cloud: Cloud, site: Site, stranger: Az, kind: str, environment: dict[str, str], said: str
) -> None:
    done = Caller(cloud, stranger, kind, environment)("status", *site.arguments)
    assert done.returncode == 1
    assert f"--credential {kind}: " in done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.requests


def test_a_refused_secret_is_told_and_not_shown(
    cloud: Cloud, site: Site, stranger: Az, tmp_path: Path
) -> None:
    environment = secret(cloud.local, tmp_path) | {"AZURE_CLIENT_SECRET": "wrong-and-secret"}
    call = Caller(cloud, stranger, "environment", environment)
    done = call("status", *site.arguments)
    assert done.returncode == 1
    assert "--credential environment: AADSTS7000215: Invalid client secret" in done.stderr
    assert "az login` again" not in done.stderr
    assert "wrong-and-secret" not in done.stderr
    assert len(done.stderr.splitlines()) <= 3, done.stderr
    refused = [r for r in done.requests if r["status"] == 401]
    assert len(refused) == 1, "calls side by side don't ask again"


def test_a_secret_that_the_sign_in_quotes_is_masked(
    cloud: Cloud, site: Site, stranger: Az, tmp_path: Path
) -> None:
    quoted = "AADSTS7000215: Invalid client secret 'wrong-and-secret' (d3JvbmctYW5kLXNlY3JldA==)"
    answer = {"error": "invalid_client", "error_description": quoted}
    environment = secret(cloud.local, tmp_path) | {"AZURE_CLIENT_SECRET": "wrong-and-secret"}
    call = Caller(cloud, stranger, "environment", environment)
    with cloud.fault(path="/oauth2/v2.0/token$", status=401, body=answer, times=0):
        done = call("status", *site.arguments, "--debug")
    assert done.returncode == 1
    assert "AADSTS7000215: Invalid client secret '***' (***)" in done.stderr
    assert "wrong-and-secret" not in done.stderr
    assert "d3JvbmctYW5k" not in done.stderr


def test_a_token_for_another_subject_is_told(
    cloud: Cloud, site: Site, stranger: Az, tmp_path: Path
) -> None:
    environment = workload(cloud.local, tmp_path)
    token = cloud.local.workload_token("repo:shop/app:pull_request")
    Path(environment["AZURE_FEDERATED_TOKEN_FILE"]).write_text(token)
    done = Caller(cloud, stranger, "workload-identity", environment)("status", *site.arguments)
    assert done.returncode == 1
    assert "assertion subject 'repo:shop/app:pull_request'" in done.stderr
    assert token not in done.stderr


@pytest.mark.parametrize(
    "environment",
    [
        {"IDENTITY_ENDPOINT": "http://localhost:9/msi/token", "IDENTITY_HEADER": "h"},
        {"AZURE_POD_IDENTITY_AUTHORITY_HOST": "http://localhost:9"},
    ],
    ids=["app-service", "virtual-machine"],
)
def test_a_machine_without_an_identity_endpoint_is_told_soon(
    cloud: Cloud, site: Site, stranger: Az, environment: dict[str, str]
) -> None:
    done = Caller(cloud, stranger, "managed-identity", environment)("status", *site.arguments)
    assert done.returncode == 1
    assert "no answer from the managed identity endpoint (connection refused)" in done.stderr
    assert "Run it where Azure gives a managed identity" in done.stderr
    assert done.seconds < 20


def test_a_machine_without_an_identity_is_told(cloud: Cloud, site: Site, stranger: Az) -> None:
    host = cloud.local.add_host(system=False)
    environment = {"IDENTITY_ENDPOINT": host["endpoint"], "IDENTITY_HEADER": host["header"]}
    done = Caller(cloud, stranger, "managed-identity", environment)("status", *site.arguments)
    assert done.returncode == 1
    assert "No User Assigned or Delegated Managed Identity found" in done.stderr


def test_debug_shows_neither_secret_nor_token(
    cloud: Cloud, site: Site, stranger: Az, tmp_path: Path
) -> None:
    environment = workload(cloud.local, tmp_path)
    assertion = Path(environment["AZURE_FEDERATED_TOKEN_FILE"]).read_text()
    federated = Caller(cloud, stranger, "workload-identity", environment)
    with_secret = Caller(cloud, stranger, "environment", secret(cloud.local, tmp_path))
    managed = Caller(cloud, stranger, "managed-identity", app_service(cloud.local, tmp_path))
    for call in (federated, with_secret, managed):
        done = call("status", *site.arguments, "--debug")
        assert done.returncode == 0, done.stderr
        assert "DEBUG: " in done.stderr
        hidden = [SECRET, assertion, *call.environment.get("IDENTITY_HEADER", "").split()]
        for value in (*hidden, "eyJ"):  # how any JSON Web Token begins
            assert value not in done.stderr
