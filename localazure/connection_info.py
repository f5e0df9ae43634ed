"""`localazure.json`: addresses and credentials of a running double, for its clients."""

from __future__ import annotations

import json
import os
import shutil
from typing import Any

from localazure.arm.site_json import full_name
from localazure.double import Double
from localazure.seed import CLIENT_ID, CLIENT_SECRET

NAME = "localazure.json"


def describe(double: Double) -> dict[str, Any]:
    """Addresses and credentials of a double."""
    state = double.state
    return {
        "pid": os.getpid(),
        "management": double.management,
        "admin": double.admin,
        "proxy": double.proxy,
        "insights": double.insights,
        "blobs": double.blobs,
        "ca": str(double.directory / "ca.pem"),
        "tenant": state.tenant,
        "subscription": state.subscription,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "registries": {r.name: r.login_server for r in state.registries.values()},
        "sites": {full_name(site): f"https://{site.host}" for site in state.all_sites()},
        "components": {c.name: c.connection_string for c in state.components.values()},
    }


def write(double: Double) -> None:
    """Write the file: the double is ready."""
    shutil.copyfile(double.authority.certificate, double.directory / "ca.pem")
    new = double.directory / f"{NAME}.new"
    new.write_text(json.dumps(describe(double), indent=2))
    new.replace(double.directory / NAME)


def remove(double: Double) -> None:
    """Remove the file: the double has ended."""
    (double.directory / NAME).unlink(missing_ok=True)
