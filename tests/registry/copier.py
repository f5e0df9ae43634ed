"""A collector brought from one registry into another, in a process of its own that is measured.

`python -m tests.registry.copier` reads from stdin where from and where to, as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass

from azext_otelembed.image.reference import Reference
from tests.memory import peak_megabytes, run_measured
from tests.registry.conftest import Registries


@dataclass(frozen=True)
class Copied:
    """`megabytes` is the most memory that the process had, `path` where the binary is now."""

    path: str
    megabytes: float
    seconds: float


def copy(registries: Registries, reference: Reference) -> Copied:
    """Bring the collector in, in a process of its own."""
    told = {
        "ca": registries.azure.ca,
        "token": registries.arm_token,
        "tenant": registries.azure.tenant,
        "shop": registries.shop,
        "reference": str(reference),
    }
    return Copied(**run_measured("tests.registry.copier", given=json.dumps(told)))


def _main(ca: str, token: str, tenant: str, shop: str, reference: str) -> dict[str, object]:
    from azext_otelembed.embedding.prepare_collector import prepare_collector
    from azext_otelembed.registry.auth import AcrExchange, Anonymous
    from azext_otelembed.registry.client import RegistryClient

    transport = {"connection_verify": ca}
    named = Reference.parse(reference)
    began = time.monotonic()
    with (
        RegistryClient(named.registry, Anonymous(), transport=transport) as source,
        RegistryClient(shop, AcrExchange(lambda: token, tenant), transport=transport) as target,
    ):
        path = prepare_collector(target, named, source).binary_path
    return {"path": path, "megabytes": peak_megabytes(), "seconds": time.monotonic() - began}


if __name__ == "__main__":
    print(json.dumps(_main(**json.load(sys.stdin))))
