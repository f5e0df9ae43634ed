"""The registries of these tests in the worker's double, and calls that they repeat."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from azext_otelembed.image.reference import Digest
from azext_otelembed.registry import transfer
from azext_otelembed.registry.auth import AcrExchange, Anonymous, Credential
from azext_otelembed.registry.client import RegistryClient
from azext_otelembed.registry.policies import RetryOptions
from localazure.client import LocalAzure

SHOP = "registriesshop"
"""The name of the ACR."""
HUB = "hub"
PUSHER = "4e915e00-0000-4000-8000-000000000001"
PULLER = "4e915e00-0000-4000-8000-000000000002"
SECRET = "not-a-secret"

QUICK = RetryOptions(
    attempts=4, first_delay=0.02, max_delay=5, max_total=10, connect_timeout=5, read_timeout=5
)
_NUMBERS = itertools.count(1)


@dataclass
class Registries:
    """`shop` is an ACR, `hub` a public registry with a token server like Docker Hub's."""

    azure: LocalAzure
    shop: str
    hub: str
    arm_token: str
    folder: Path
    clients: list[RegistryClient] = field(default_factory=list)

    def client(
        self, host: str, credential: Credential | None = None, retry: RetryOptions = QUICK
    ) -> RegistryClient:
        """A client of its own, closed at the test's end."""
        client = RegistryClient(
            host, credential, retry=retry, transport={"connection_verify": self.azure.ca}
        )
        self.clients.append(client)
        return client

    def owner(self, retry: RetryOptions = QUICK) -> RegistryClient:
        """A client of `shop` that may do everything."""
        exchange = AcrExchange(lambda: self.arm_token, self.azure.tenant)
        return self.client(self.shop, exchange, retry)

    def principal(self, client_id: str) -> RegistryClient:
        """A client of `shop` with the rights of one of the principals above."""
        token = self.azure.token(client_id=client_id, secret=SECRET)
        return self.client(self.shop, AcrExchange(lambda: token))

    def anonymous(self) -> RegistryClient:
        """A client of `hub` that is nobody."""
        return self.client(self.hub, Anonymous())

    @contextmanager
    def without_mounts(self) -> Iterator[None]:
        """`shop` mounts no blobs inside the block."""
        self.azure.change_registry(SHOP, mounts=False)
        try:
            yield
        finally:
            self.azure.change_registry(SHOP, mounts=True)

    def since(self, mark: int) -> list[dict[str, Any]]:
        """What reached registries, token servers and blob storage since `mark`."""
        services = ("acr", "registry", "blob")
        return [r for r in self.azure.requests(since=mark) if r["service"] in services]


@pytest.fixture(scope="session")
def azure(local: LocalAzure) -> LocalAzure:
    """The worker's double, with a registry of these tests and principals of it."""
    made = local.add_registry({"name": SHOP, "group": "shop-rg", "admin_enabled": True})
    for client, role in ((PUSHER, "AcrPush"), (PULLER, "AcrPull")):
        local.add_principal(client, SECRET, [{"role": role, "scope": made["id"]}])
    return local


@pytest.fixture(scope="session")
def arm_token(azure: LocalAzure) -> str:
    """The owner's token for ARM."""
    return azure.token()


@pytest.fixture
def registries(azure: LocalAzure, arm_token: str, tmp_path: Path) -> Iterator[Registries]:
    login_servers = azure.registries
    made = Registries(azure, login_servers[SHOP], login_servers[HUB], arm_token, tmp_path)
    yield made
    for client in made.clients:
        client.close()
    azure.clear_faults()


@dataclass(frozen=True)
class Shop:
    """The ACR, an owner's client of it that holds its token already, and a new repository."""

    azure: LocalAzure
    registries: Registries
    client: RegistryClient
    name: str
    mark: int

    def upload(self, size: int) -> tuple[Digest, bytes]:
        """A blob that was uploaded whole."""
        digest, data = blob(size)
        transfer.upload(self.client, self.name, digest, data)
        return digest, data

    def methods(self, mark: int = 0) -> list[str]:
        """The requests to the registry in the test so far, without tokens and blob storage."""
        return [
            f"{r['method']} {r['status']}"
            for r in self.registries.since(mark or self.mark)
            if r["service"] == "acr" and r["path"].startswith("/v2/")
        ]


@pytest.fixture
def shop(registries: Registries, client: RegistryClient, name: str) -> Shop:
    client.has_blob("warm/up", blob(1)[0])
    client.has_blob(name, blob(1)[0])
    return Shop(registries.azure, registries, client, name, registries.azure.mark())


@pytest.fixture
def client(registries: Registries) -> RegistryClient:
    """An owner's client of `shop`."""
    return registries.owner()


@pytest.fixture
def name() -> str:
    """A repository that no other test uses."""
    return f"team/app{next(_NUMBERS)}"


def blob(size: int, seed: int = 0) -> tuple[Digest, bytes]:
    """Content that doesn't repeat, and its digest."""
    data = random.Random(seed).randbytes(size)  # noqa: S311
    return Digest.of(data), data
