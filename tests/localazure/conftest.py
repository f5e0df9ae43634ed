"""One double for the tests of its own packages (`test_core_*`, `test_aad_*`, `test_acr_*` …).

It isn't the one that other tests share: here request logs are emptied, and lists compared.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from localazure.client import LocalAzure
from localazure.images import build
from localazure.images.assemble import Entry, Family, Image, layer, write_layout
from localazure.seed import QUICK
from tests.localazure.arm_support import Arm
from tests.localazure.core_support import PRINCIPALS, SECRET, Shop
from tests.localazure.images_support import LOCAL, Collector, Ingestion
from tests.localazure.runtime_support import RuntimeFixture, runtime_fixture

HUB = {"name": "hub", "acr": False, "aliases": ["docker.io"]}
ABAC_MODE = "AbacRepositoryPermissions"
_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def double(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAzure]:
    """A double with registries, principals and a component; no sites."""
    seed = {
        "runtime": QUICK,
        "groups": [{"name": "shop-rg", "location": "westeurope"}],
        "registries": [
            {"name": "shopregistry", "group": "shop-rg", "admin_enabled": True},
            {"name": "openregistry", "group": "shop-rg", "anonymous_pull": True},
            {"name": "abacregistry", "group": "shop-rg", "role_assignment_mode": ABAC_MODE},
            {**HUB, "anonymous_pull": True, "users": {"publisher": SECRET}},
            {"name": "vault", "acr": False, "users": {"member": SECRET}},
        ],
        "components": [{"name": "shop-insights", "group": "shop-rg"}],
        "principals": [
            {"client_id": client_id, "secret": SECRET, "roles": roles}
            for client_id, roles in PRINCIPALS.values()
        ],
    }
    directory = tmp_path_factory.mktemp("double") / "azure"
    with LocalAzure.start(directory, json.loads(json.dumps(seed)), ca=directory / "ca") as started:
        yield started


@pytest.fixture
def azure(double: LocalAzure) -> Iterator[LocalAzure]:
    """The double, without faults before and after."""
    double.clear_faults()
    yield double
    double.clear_faults()


@pytest.fixture
def http(azure: LocalAzure) -> Iterator[httpx.Client]:
    """An HTTP client that trusts the double and follows no redirect."""
    with azure.http() as client:
        yield client


@pytest.fixture
def shop(azure: LocalAzure, http: httpx.Client) -> Shop:
    """The registry `shopregistry`, and a repository that no other test uses."""
    return Shop(azure, http, azure.registries["shopregistry"], f"team/app{next(_NUMBERS)}")


@pytest.fixture
def arm(azure: LocalAzure, http: httpx.Client) -> Arm:
    """ARM, as the subscription's owner."""
    return Arm(azure, http, azure.token())


@pytest.fixture
def family() -> Family:
    """The kind of manifests in `layout`."""
    return "docker"


@pytest.fixture
def layout(tmp_path: Path, family: Family) -> Path:
    """An index of two platforms in an OCI layout, tagged 1.0."""
    first = Image([layer([Entry("hello", b"hello")])], {"Cmd": ["/hello"]}, family)
    second = Image(first.layers, {"Cmd": ["/hello"]}, family, ("linux", "arm64"))
    write_layout(tmp_path / "layout", [first, second], "1.0")
    return tmp_path / "layout"


@pytest.fixture(scope="session")
def binary() -> Path:
    """The collector's program."""
    return build.collector_binary(LOCAL)


@pytest.fixture
def ingestion() -> Iterator[Ingestion]:
    """An ingestion endpoint that records its requests."""
    with Ingestion() as server:
        yield server


@pytest.fixture
def collector(binary: Path, ingestion: Ingestion, tmp_path: Path) -> Iterator[Collector]:
    """A running collector that sends to `ingestion`."""
    with Collector(binary, tmp_path, ingestion.connection_string) as process:
        process.wait_until_ready()
        yield process


@pytest.fixture
def here(tmp_path: Path) -> contextlib.AbstractAsyncContextManager[RuntimeFixture]:
    """A double with a supervisor, for async tests: they get the opened `RuntimeFixture`."""
    return runtime_fixture(tmp_path)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: Any) -> bool | None:
    """Run an async test in an event loop, in which `here` is opened and closed."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    test, names = pyfuncitem.obj, inspect.signature(pyfuncitem.obj).parameters

    async def run() -> None:
        arguments = {name: pyfuncitem.funcargs[name] for name in names}
        async with contextlib.AsyncExitStack() as stack:
            if "here" in arguments:
                arguments["here"] = await stack.enter_async_context(arguments["here"])
            await test(**arguments)

    asyncio.run(run())
    return True
