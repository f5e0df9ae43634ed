"""The seed: the resources of a double at its start.

A seed is a JSON object; every part may be left out:

- `principals`: `{"client_id", "secret", "roles": [{"role", "scope"}]}`
- `groups`: `{"name", "location"}`; `plans`: `{"group", "name", "location"}`
- `registries`: the fields of `state.Registry`
- `images`: `{"registry", "repository", "tag", "layout"}`, `layout` the folder of an OCI layout
- `components`, `sites`: as `Double.add_component` and `Double.add_site` take them
- `role_assignments`: `{"role", "scope", "principal_id"}`
- `runtime`: fields of `state.RuntimeSettings`

Ports are known only at run time, so `{NAME}` in any string stands for the login server of the
registry called NAME, and `{NAME.id}` for its ARM id.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from localazure.double import Double
from localazure.state import Group, Plan

CLIENT_ID = "33333333-c11e-4d4b-bb3a-2b2c2d2e2f20"
OBJECT_ID = "44444444-0b1e-4c5d-9d6e-4d5d6d7d8d90"
"""Constant, so that an az that logged in before a restart keeps its rights."""
CLIENT_SECRET = "localazure~not-a-secret"
IMAGES = Path(__file__).resolve().parents[1] / ".local" / "images"
QUICK = {"overlap": 0.3, "blocked": 6.0}
"""`RuntimeSettings` for the demo and for tests: a site's old container stops at once."""
COLLECTOR = "otel/opentelemetry-collector-contrib"
COLLECTOR_VERSION = "0.150.0"


def load(name: str) -> dict[str, Any]:
    """The seed called `demo` or `empty`, or the one in a JSON file."""
    if name in ("demo", "empty"):
        return demo() if name == "demo" else {}
    seed: dict[str, Any] = json.loads(Path(name).read_bytes())
    return seed


def demo() -> dict[str, Any]:
    """A shop: one web app in a container, its registry, a Docker Hub and a component."""
    group, location = "shop-rg", "westeurope"
    images = [
        {
            "registry": "hub",
            "repository": COLLECTOR,
            "tag": COLLECTOR_VERSION,
            "layout": "collector",
        },
        {"registry": "shopregistry", "repository": "shop", "tag": "1.0", "layout": "app"},
    ]
    return {
        "groups": [{"name": group, "location": location}],
        "plans": [{"group": group, "name": "shop-plan", "location": location}],
        "registries": [
            {"name": "shopregistry", "group": group},
            {"name": "hub", "acr": False, "aliases": ["docker.io", "index.docker.io"]},
        ],
        # Images that are not built yet are left out: the double is useful without them.
        "images": [
            {**image, "layout": str(IMAGES / image["layout"])}
            for image in images
            if (IMAGES / image["layout"] / "index.json").exists()
        ],
        "components": [{"name": "shop-insights", "group": group}],
        "sites": [
            {
                "name": "shop",
                "group": group,
                "plan": "shop-plan",
                "image": "{shopregistry}/shop:1.0",
                "config": {"acrUseManagedIdentityCreds": True},
                "system_identity": True,
                "roles": [{"role": "AcrPull", "scope": "{shopregistry.id}"}],
                "app_settings": {
                    "WEBSITES_ENABLE_APP_SERVICE_STORAGE": "false",
                    "WEBSITES_PORT": "8080",
                    "SHOP_CURRENCY": "EUR",
                    "PAYMENT_API_KEY": "sk-demo-5f1e8b7c2a9d",
                    "DOCKER_REGISTRY_SERVER_URL": "https://{shopregistry}",
                },
            }
        ],
    }


async def apply(double: Double, seed: dict[str, Any]) -> None:
    """Add the resources of `seed`, and a service principal that owns the subscription."""
    subscription = f"/subscriptions/{double.state.subscription}"
    double.change_runtime(seed.get("runtime", {}))
    principal = double.add_principal(CLIENT_ID, CLIENT_SECRET, OBJECT_ID)
    double.assign("Owner", subscription, principal.object_id)
    for group in seed.get("groups", []):
        double.state.groups[group["name"].lower()] = Group(**group)
    for plan in seed.get("plans", []):
        double.state.plans[plan["group"].lower(), plan["name"].lower()] = Plan(**plan)
    for registry in seed.get("registries", []):
        await double.add_registry(registry)
    seed = resolve(double, seed)
    for wanted in seed.get("principals", []):
        extra = double.add_principal(wanted["client_id"], wanted["secret"])
        for role in wanted.get("roles", []):
            double.assign(role["role"], role["scope"], extra.object_id)
    for assignment in seed.get("role_assignments", []):
        double.assign(assignment["role"], assignment["scope"], assignment["principal_id"])
    for image in seed.get("images", []):
        double.push(image["registry"], image["repository"], Path(image["layout"]), image["tag"])
    for component in seed.get("components", []):
        await double.add_component(component)
    for site in seed.get("sites", []):
        await double.add_site(site)


def resolve(double: Double, value: Any) -> Any:
    """`value` with `{NAME}` and `{NAME.id}` of the double's registries filled in."""
    names: dict[str, str] = {}
    for registry in double.state.registries.values():
        names[registry.name] = registry.login_server
        names[f"{registry.name}.id"] = double.state.registry_id(registry)
    return _fill(names, value)


def _fill(names: dict[str, str], value: Any) -> Any:
    if isinstance(value, str):
        return re.sub(r"\{([\w.-]+)\}", lambda m: names.get(m[1], m[0]), value)
    if isinstance(value, dict):
        return {key: _fill(names, item) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(names, item) for item in value]
    return value
