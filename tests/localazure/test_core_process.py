"""`python -m localazure` as a process: its start, its addresses, and its end."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from localazure.authority import load_or_make
from localazure.client import ROOT, LocalAzure, StartError
from tests.waiting import eventually

SEED = {
    "groups": [{"name": "rg", "location": "westeurope"}],
    "registries": [{"name": "first", "group": "rg"}, {"name": "hub", "acr": False}],
    "components": [{"name": "insights", "group": "rg", "tags": {"a": "b"}}],
    "principals": [
        {"client_id": "me", "secret": "s", "roles": [{"role": "AcrPull", "scope": "{first.id}"}]}
    ],
}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_writes_its_addresses_and_ends_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    directory = tmp_path / "azure"
    azure = LocalAzure.start(directory, SEED, ca=tmp_path / "ca")
    assert azure.process is not None
    try:
        info = json.loads((directory / "localazure.json").read_bytes())
        assert info == azure.info
        assert info["pid"] == azure.process.pid
        assert info["registries"]["first"].startswith("localhost:")
        assert "ApplicationId=" in info["components"]["insights"]
        assert LocalAzure.attach(directory).info == info
        azure.process.send_signal(number)
        assert azure.process.wait(20) == 0
    finally:
        azure.stop()
    assert not (directory / "localazure.json").exists()
    with pytest.raises(httpx.ConnectError), azure.http() as http:
        http.get(info["management"])
    assert (directory / "localazure.log").read_text().count("\n") == 1


_GONE = """
import os, sys
from pathlib import Path
from localazure.client import LocalAzure
LocalAzure.start(Path(sys.argv[1]), "empty", ca=Path(sys.argv[2]))
os._exit(9)
"""


def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    directory = tmp_path / "azure"
    command = [sys.executable, "-c", _GONE, str(directory), str(tmp_path / "ca")]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 9
    eventually(lambda: not (directory / "localazure.json").exists(), 20)


def test_localhost_answers_on_every_address_that_it_may_resolve_to(azure: LocalAzure) -> None:
    port = int(azure.management.rpartition(":")[2])
    context = ssl.create_default_context(cafile=azure.ca)
    addresses = ["127.0.0.1"]
    with socket.socket(socket.AF_INET6) as probe:
        if probe.connect_ex(("::1", port)) == 0:
            addresses.append("::1")
    for address in addresses:
        with (
            socket.create_connection((address, port)) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as tls,
        ):
            assert tls.selected_alpn_protocol() is None


def test_the_authority_and_the_signing_key_survive_a_restart(tmp_path: Path) -> None:
    tokens = []
    for _ in range(2):
        with LocalAzure.start(tmp_path / "azure", "empty", ca=tmp_path / "ca") as azure:
            tokens.append((Path(azure.ca).read_bytes(), azure.token()))
            url = f"{azure.management}/subscriptions?api-version=2022-12-01"
            with azure.http() as http:
                headers = {"authorization": f"Bearer {tokens[0][1]}"}
                assert http.get(url, headers=headers).status_code == 200
    assert tokens[0][0] == tokens[1][0]


def test_the_authority_can_be_made_alone_and_is_made_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "localazure.authority", str(tmp_path / "ca")]
    subprocess.run(command, check=True)
    made = (tmp_path / "ca" / "ca.pem").read_bytes()
    assert load_or_make(tmp_path / "ca").certificate.read_bytes() == made


def test_an_invalid_seed_is_reported(tmp_path: Path) -> None:
    seed = {"sites": [{"name": "shop", "group": "rg", "colour": "red"}]}
    with pytest.raises(StartError, match="colour"):
        LocalAzure.start(tmp_path / "azure", seed, ca=tmp_path / "ca")
    with pytest.raises(StartError, match=r"nowhere\.json"):
        LocalAzure.start(tmp_path / "azure", "nowhere.json", ca=tmp_path / "ca")


def test_resources_can_be_added_while_it_runs(azure: LocalAzure, http: httpx.Client) -> None:
    made = azure.add_registry({"name": "lateregistry", "group": "shop-rg"})
    assert azure.registries["lateregistry"] == made["login_server"]
    assert http.get(f"https://{made['login_server']}/v2/").status_code == 401
    component = azure.add_component({"name": "late", "group": "shop-rg"})
    assert azure.components["late"] == component["connection_string"]
    scope = made["id"]
    azure.add_principal("late-app", "late", [{"role": "AcrPull", "scope": scope}])
    query = {"service": made["login_server"], "scope": "repository:x:pull"}
    url = f"https://{made['login_server']}/oauth2/token"
    answer = http.get(url, params=query, auth=("late-app", "late"))
    assert answer.status_code == 200
    with pytest.raises(ValueError, match="can't be changed"):
        azure.change_registry("lateregistry", name="x")
    with pytest.raises(ValueError, match="nothing"):
        azure.change_registry("nothing", mounts=False)


def test_a_site_can_be_added_while_it_runs(azure: LocalAzure, http: httpx.Client) -> None:
    spec = {
        "name": "late-shop",
        "group": "shop-rg",
        "image": "{shopregistry}/nothing:1",
        "system_identity": True,
        "roles": [{"role": "AcrPull", "scope": "{shopregistry.id}"}],
        "state": "Stopped",
    }
    made = azure.add_site(spec)
    slot = azure.add_site(
        {"name": "late-shop", "group": "shop-rg", "slot": "staging"} | {"state": "Stopped"}
    )
    assert azure.sites["late-shop"] == made["url"]
    assert azure.sites["late-shop/staging"] == slot["url"]
    assert made["principal_id"]
    headers = {"authorization": f"Bearer {azure.token()}"}
    url = f"{azure.management}{made['id']}/config/web?api-version=2025-05-01"
    config = http.get(url, headers=headers).json()["properties"]
    assert config["linuxFxVersion"] == f"DOCKER|{azure.registries['shopregistry']}/nothing:1"
    assert http.get(made["url"]).status_code == 403
