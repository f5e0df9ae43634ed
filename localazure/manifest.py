"""`localazure.json`: where a running double is, for whoever wants to talk to it."""

from __future__ import annotations

import json
import os
import shutil
from typing import Any

from localazure.seed import CLIENT_ID, CLIENT_SECRET
from localazure.state import Site
from localazure.world import World

NAME = "localazure.json"


def describe(world: World) -> dict[str, Any]:
    """Addresses and credentials of a world."""
    state = world.state
    return {
        "pid": os.getpid(),
        "management": world.management,
        "admin": world.admin,
        "insights": world.insights,
        "blobs": world.blobs,
        "ca": str(world.directory / "ca.pem"),
        "tenant": state.tenant,
        "subscription": state.subscription,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "registries": {r.name: r.login_server for r in state.registries.values()},
        "sites": {key(site): f"https://{site.host}" for site in state.all_sites()},
        "components": {c.name: c.connection_string for c in state.components.values()},
    }


def key(site: Site) -> str:
    """`name`, or `name/slot`."""
    return f"{site.name}/{site.slot}" if site.slot else site.name


def write(world: World) -> None:
    """Say that the double is ready."""
    shutil.copyfile(world.authority.certificate, world.directory / "ca.pem")
    new = world.directory / f"{NAME}.new"
    new.write_text(json.dumps(describe(world), indent=2))
    new.replace(world.directory / NAME)


def remove(world: World) -> None:
    """Say that it is gone."""
    (world.directory / NAME).unlink(missing_ok=True)
