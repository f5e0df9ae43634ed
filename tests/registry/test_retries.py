from __future__ import annotations

import time
from typing import Any

import pytest

from azext_otelembed.errors import RegistryFailed
from azext_otelembed.registry.auth import Anonymous
from azext_otelembed.registry.client import RegistryClient
from tests.registry.conftest import QUICK, Registries


def test_a_throttling_registry_is_given_the_time_it_asks_for(
    registries: Registries, name: str
) -> None:
    client = registries.owner()
    client.head_manifest(name, "1.0")
    registries.azure.fault(service="acr", path="/manifests/", status=429, retry_after=1)
    started = time.monotonic()
    assert client.head_manifest(name, "1.0") is None
    assert time.monotonic() - started >= 1


@pytest.mark.parametrize(
    "fault", [*({"status": status} for status in (500, 502, 503, 504)), {"reset": True}]
)
def test_a_failing_registry_is_asked_again(
    registries: Registries, name: str, fault: dict[str, Any]
) -> None:
    registries.azure.fault(service="acr", path="/manifests/", times=2, **fault)
    assert registries.owner().head_manifest(name, "1.0") is None


def test_a_wait_of_minutes_is_left_to_the_caller(registries: Registries, name: str) -> None:
    registries.azure.fault(service="acr", path="/manifests/", status=429, retry_after=324)
    started = time.monotonic()
    with pytest.raises(RegistryFailed) as failure:
        registries.owner().head_manifest(name, "1.0")
    assert time.monotonic() - started < 5
    assert failure.value.status == 429
    assert "324 seconds" in str(failure.value.recommendation)


def test_a_registry_that_stays_down_is_named(registries: Registries, name: str) -> None:
    registries.azure.fault(service="acr", path="/manifests/", status=503, times=0)
    mark = registries.azure.mark()
    with pytest.raises(RegistryFailed, match="HTTP 503") as failure:
        registries.owner().head_manifest(name, "1.0")
    assert registries.shop in failure.value.message
    assert f"{name}:1.0" in failure.value.message
    asked = [r for r in registries.since(mark) if "/manifests/" in r["path"]]
    assert len(asked) == QUICK.attempts


def test_a_connection_that_is_always_cut_is_reported(registries: Registries, name: str) -> None:
    registries.azure.fault(service="acr", path="/manifests/", reset=True, times=0)
    with pytest.raises(RegistryFailed, match=r"can't be reached.*connection .*tried 4 times"):
        registries.owner().head_manifest(name, "1.0")


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("localhost:1", "connection refused"),
        ("no-such-registry.invalid", "its name can't be resolved"),
    ],
)
def test_a_registry_that_is_not_there_is_named(host: str, reason: str) -> None:
    with (
        RegistryClient(host, Anonymous(), retry=QUICK) as client,
        pytest.raises(RegistryFailed) as failure,
    ):
        client.get_manifest("a/b", "1.0")
    assert host in failure.value.message
    assert reason in failure.value.message


def test_a_certificate_nobody_trusts_is_reported_at_once(registries: Registries) -> None:
    with (
        RegistryClient(registries.shop, Anonymous()) as client,
        pytest.raises(RegistryFailed, match="REQUESTS_CA_BUNDLE"),
    ):
        client.get_manifest("a/b", "1.0")
