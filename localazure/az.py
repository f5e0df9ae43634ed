"""The real az of `.local/az`, logged in to a running double, in a configuration of its own."""

from __future__ import annotations

import configparser
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localazure.client import ROOT, LocalAzure

AZ = ROOT / ".local" / "az" / "bin" / "az"
CLOUD = "localazure"
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TERM")
"""The variables that az inherits: no proxy and no Azure variable of the caller's shell."""


@dataclass(frozen=True, slots=True)
class Completed:
    """How an az command ended."""

    returncode: int
    stdout: str
    stderr: str


class Az:
    """az in `config_dir`, which `login` prepares; extensions come from `extension_dir`."""

    def __init__(
        self,
        local: LocalAzure,
        config_dir: Path,
        extension_dir: Path | None = None,
        program: Path = AZ,
    ) -> None:
        self._local = local
        self.config_dir = config_dir
        self._program = program
        self._extensions = extension_dir or config_dir / "extensions"

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment that az needs to find the double."""
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        return {
            **kept,
            "AZURE_CONFIG_DIR": str(self.config_dir),
            "AZURE_EXTENSION_DIR": str(self._extensions),
            "AZURE_CORE_COLLECT_TELEMETRY": "false",
            "AZURE_CORE_INSTANCE_DISCOVERY": "false",
            "AZURE_EXTENSION_USE_DYNAMIC_INSTALL": "no",
            "REQUESTS_CA_BUNDLE": self._local.ca,
            "SSL_CERT_FILE": self._local.ca,
            **(extra or {}),
        }

    @property
    def folder(self) -> Path:
        """The working directory of az. In the repository, `python -m azure.cli` would import the
        extension from the working tree instead of the installed one."""
        return self._local.directory

    def prepare(self) -> None:
        """Write the files of `az cloud register` and `az cloud set`: saves two starts of az."""
        self.config_dir.mkdir(parents=True, exist_ok=True)
        config = {
            "cloud": {"name": CLOUD},
            "core": {
                "instance_discovery": "false",
                "collect_telemetry": "false",
                "first_run": "no",
                "login_experience_v2": "off",
            },
            "auto-upgrade": {"enable": "no"},
        }
        _write(self.config_dir / "config", config)
        _write(self.config_dir / "clouds.config", {CLOUD: self._cloud()})

    def login(self, user: str | None = None, password: str | None = None) -> None:
        """Prepare, and log in as a service principal: the owner unless another is named."""
        self.prepare()
        # The cache's keys have no ports: az would use a token of an earlier double in this folder.
        (self.config_dir / "msal_token_cache.json").unlink(missing_ok=True)
        done = self.run(
            *("login", "--service-principal", "--tenant", self._local.tenant),
            *("-u", user or self._local.client_id),
            *("-p", password or self._local.client_secret),
        )
        if done.returncode:
            raise RuntimeError(f"az login failed: {done.stderr}")

    def run(
        self,
        *arguments: str,
        input: str | None = None,  # noqa: A002  (subprocess calls it so)
        env: Mapping[str, str] | None = None,
        timeout: float = 300,
        cwd: Path | None = None,
    ) -> Completed:
        """Run one az command to its end."""
        done = subprocess.run(
            [str(self._program), *arguments],
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            env=self.environment(env),
            timeout=timeout,
            cwd=cwd or self.folder,
            check=False,
        )
        return Completed(done.returncode, done.stdout, done.stderr)

    def popen(
        self, *arguments: str, env: Mapping[str, str] | None = None, **options: Any
    ) -> subprocess.Popen[str]:
        """Start an az command, with pipes for its output, in a process group of its own."""
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(
            [str(self._program), *arguments],
            text=True,
            env=self.environment(env),
            **{**pipes, "start_new_session": True, "cwd": self.folder, **options},
        )

    def _cloud(self) -> dict[str, str]:
        """The double's metadata as `az cloud register` keeps it."""
        with self._local.http() as http:
            found = http.get(f"{self._local.management}/metadata/endpoints").json()
        endpoints = {name: found[key] for name, key in _ENDPOINTS.items()}
        suffixes = {name: prefix + found["suffixes"][key] for name, prefix, key in _SUFFIXES}
        authentication = found["authentication"]
        endpoints["active_directory"] = authentication["loginEndpoint"]
        endpoints["management"] = authentication["audiences"][0]
        endpoints["active_directory_resource_id"] = authentication["audiences"][0]
        named = {f"endpoint_{name}": value for name, value in endpoints.items()}
        return {**named, **{f"suffix_{name}": value for name, value in suffixes.items()}}


_ENDPOINTS = {
    "active_directory_data_lake_resource_id": "activeDirectoryDataLake",
    "active_directory_graph_resource_id": "graphAudience",
    "app_insights_resource_id": "appInsightsResourceId",
    "app_insights_telemetry_channel_resource_id": "appInsightsTelemetryChannelResourceId",
    "app_service_resource_id": "appServiceResourceId",
    "attestation_resource_id": "attestationResourceId",
    "batch_resource_id": "batch",
    "gallery": "gallery",
    "log_analytics_resource_id": "logAnalyticsResourceId",
    "media_resource_id": "media",
    "microsoft_graph_resource_id": "microsoftGraphResourceId",
    "ossrdbms_resource_id": "ossrdbmsResourceId",
    "portal": "portal",
    "resource_manager": "resourceManager",
    "sql_management": "sqlManagement",
    "synapse_analytics_resource_id": "synapseAnalyticsResourceId",
    "vm_image_alias_doc": "vmImageAliasDoc",
}
"""Names of endpoints in az's configuration, and in the metadata."""

_SUFFIXES = (
    ("acr_login_server_endpoint", ".", "acrLoginServer"),
    ("attestation_endpoint", ".", "attestationEndpoint"),
    ("keyvault_dns", ".", "keyVaultDns"),
    ("mhsm_dns", ".", "mhsmDns"),
    ("storage_endpoint", "", "storage"),
)
"""The same for suffixes, with the dot that az puts before some of them."""


def _write(path: Path, sections: Mapping[str, Mapping[str, str]]) -> None:
    parser = configparser.RawConfigParser()
    parser.read_dict(sections)
    with path.open("w") as file:
        parser.write(file)
