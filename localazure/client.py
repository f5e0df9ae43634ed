"""A running double, as tests, the demo and `make play` use it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[1]
CA = ROOT / ".local" / "ca"
"""The authority that tests and demo share: the built collector image trusts it."""
_LOG = "localazure.log"
_START = 60.0
_STOP = 10.0
"""Seconds until KILL. TERM alone ends a double within 5 s, whatever is open."""


class StartError(RuntimeError):
    """The double failed to start; the message contains its output."""


@dataclass(slots=True)
class LocalAzure:
    """The addresses of a running double, and its controls.

    `start` runs a double; `attach` finds one that runs.
    """

    directory: Path
    info: dict[str, Any]
    process: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(
        cls, directory: Path, seed: str | Mapping[str, Any] = "demo", ca: Path = CA
    ) -> LocalAzure:
        """Start a double of its own in `directory`, and wait until it is ready (StartError).

        The double ends when the process that started it ends, even if that is killed.
        """
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "localazure.json").unlink(missing_ok=True)
        if not isinstance(seed, str):
            (directory / "seed.json").write_text(json.dumps(seed))
            seed = str(directory / "seed.json")
        command = [sys.executable, "-m", "localazure", "--directory", str(directory)]
        command += ["--attended", "--owner", str(os.getpid()), "--seed", seed, "--ca", str(ca)]
        with (directory / _LOG).open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,  # nothing is written: it closes when this process ends
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                start_new_session=True,
            )
        try:
            _wait_until_ready(directory, process)
            return cls(directory, _read(directory), process)
        except BaseException:
            with process:
                process.kill()
            raise

    @classmethod
    def attach(cls, directory: Path) -> LocalAzure:
        """The double that runs in `directory`. Raises FileNotFoundError where none does."""
        return cls(directory, _read(directory))

    def stop(self) -> None:
        """End the process: TERM, then KILL after `_STOP` seconds."""
        if self.process is None:
            return
        with self.process as process:
            process.terminate()
            try:
                process.wait(_STOP)
            except subprocess.TimeoutExpired:
                process.kill()

    def __enter__(self) -> LocalAzure:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def management(self) -> str:
        """`https://localhost:PORT` of ARM and Entra ID."""
        return str(self.info["management"])

    @property
    def insights(self) -> str:
        """`https://localhost:PORT` of Application Insights."""
        return str(self.info["insights"])

    @property
    def ca(self) -> str:
        """The PEM file to trust."""
        return str(self.info["ca"])

    @property
    def tenant(self) -> str:
        """The tenant's id."""
        return str(self.info["tenant"])

    @property
    def subscription(self) -> str:
        """The subscription's id."""
        return str(self.info["subscription"])

    @property
    def client_id(self) -> str:
        """The service principal that owns the subscription."""
        return str(self.info["client_id"])

    @property
    def client_secret(self) -> str:
        """The secret of that service principal."""
        return str(self.info["client_secret"])

    @property
    def proxy(self) -> str:
        """`http://localhost:PORT` of a proxy that resolves all hosts of the double.

        Few resolvers know names below `localhost`, which a registry with a hash in its host has.
        """
        return str(self.info["proxy"])

    @property
    def registries(self) -> dict[str, str]:
        """Login servers (`localhost:PORT`) by registry name."""
        return dict(self.info["registries"])

    @property
    def sites(self) -> dict[str, str]:
        """Addresses by site name, or `name/slot`."""
        return dict(self.info["sites"])

    @property
    def components(self) -> dict[str, str]:
        """Connection strings by component name."""
        return dict(self.info["components"])

    def http(self, **options: Any) -> httpx.Client:
        """An HTTP client that trusts the double's certificates and uses no proxy."""
        import ssl

        context = ssl.create_default_context(cafile=self.ca)
        return httpx.Client(**{"verify": context, "trust_env": False, "timeout": 60, **options})

    def token(
        self,
        audience: str = "https://management.core.windows.net/",
        client_id: str = "",
        secret: str = "",
    ) -> str:
        """An access token of the owner, or of another service principal."""
        form = {
            "grant_type": "client_credentials",
            "client_id": client_id or self.client_id,
            "client_secret": secret or self.client_secret,
            "scope": f"{audience}/.default",
        }
        with self.http() as http:
            answer = http.post(f"{self.management}/{self.tenant}/oauth2/v2.0/token", data=form)
        return str(answer.raise_for_status().json()["access_token"])

    def requests(
        self, since: int = 0, service: str | None = None, client: str | None = None
    ) -> list[dict[str, Any]]:
        """The request log (`faults.recorder.Record`), oldest first."""
        found = self._call("GET", f"/requests?since={since}")
        return [
            record
            for record in found
            if service in (None, record["service"]) and client in (None, record["client"])
        ]

    def mark(self) -> int:
        """The number of the last request so far, for `requests(since=…)`."""
        return max((record["n"] for record in self._call("GET", "/requests?last")), default=0)

    def clear_requests(self) -> None:
        """Empty the request log."""
        self._call("DELETE", "/requests")

    def fault(self, **fault: Any) -> int:
        """Set a fault (`faults.recorder.Fault`); returns its id."""
        return int(self._call("POST", "/faults", fault)["id"])

    def faults(self) -> list[dict[str, Any]]:
        """The faults set, each with how many requests it matched."""
        return list(self._call("GET", "/faults"))

    def clear_faults(self, fault: int | None = None) -> None:
        """Remove all faults, or one; the requests that they hold continue."""
        self._call("DELETE", "/faults" + (f"?id={fault}" if fault else ""))

    def until_held(self, fault: int, seconds: float) -> bool:
        """Wait until a fault holds a request, `seconds` at most; returns whether it does."""
        return bool(self._call("GET", f"/held?id={fault}&seconds={seconds}"))

    def release(self, fault: int | None = None) -> None:
        """Continue the requests that are held."""
        self._call("POST", "/release" + (f"?id={fault}" if fault else ""))

    def add_site(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        """Add a site or slot (`Double.add_site`): `{"id", "url", "scm", "principal_id"}`."""
        return self._add("/sites", spec)

    def add_registry(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        """Add a registry (`Double.add_registry`): `{"id", "login_server"}`."""
        return self._add("/registries", spec)

    def change_registry(self, name: str, /, **fields: Any) -> None:
        """Change fields of a registry, such as `mounts=False`."""
        self._call("PATCH", f"/registries/{name}", fields)

    def add_component(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        """Add a component: `{"app_id", "instrumentation_key", "connection_string"}`."""
        return self._add("/components", spec)

    def change_component(self, name: str, /, **fields: Any) -> None:
        """Change fields of a component, such as `disable_local_auth=True`."""
        self._call("PATCH", f"/components/{name}", fields)

    def add_store(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        """Add an App Configuration store (`Double.add_store`): `{"id"}`."""
        return self._add("/stores", spec)

    def add_vault(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        """Add a key vault (`Double.add_vault`): `{"id"}`."""
        return self._add("/vaults", spec)

    def delay(self, site: str, **seconds: float) -> None:
        """Make starts (`start_delay`) or swaps (`swap_delay`) of a site, by its id, take longer."""
        self._call("PATCH", "/sites", {"id": site, **seconds})

    def add_principal(
        self,
        client_id: str,
        secret: str,
        roles: list[dict[str, str]] | None = None,
        **credentials: Any,
    ) -> str:
        """Add a service principal with roles (`{"role", "scope"}`); returns its object id.

        `credentials` are `certificates` and `federations` (`Double.add_principal`).
        """
        body = {"client_id": client_id, "secret": secret, "roles": roles or [], **credentials}
        return str(self._call("POST", "/principals", body)["object_id"])

    def add_host(self, **spec: Any) -> dict[str, Any]:
        """Add a machine with managed identities (`Double.add_host`): its endpoints.

        `endpoint` and `header` as in App Service, `imds` as the authority of a virtual machine's.
        """
        return dict(self._call("POST", "/hosts", spec))

    def workload_token(self, subject: str, **claims: Any) -> str:
        """The token of a build job or pod (`audience`, `lifetime` in seconds)."""
        return str(self._call("POST", "/workloads", {"subject": subject, **claims})["token"])

    def token_lifetime(self, seconds: int | None) -> None:
        """Set the lifetime of new tokens; None for the lifetimes of Entra ID."""
        self._call("PATCH", "/tokens", {"lifetime": seconds})

    def unknown_resources(self, *resources: str) -> None:
        """Set the resources that Entra ID issues no token for; without any, it knows all."""
        self._call("PUT", "/unknown-resources", list(resources))

    @contextmanager
    def runtime(self, **settings: Any) -> Iterator[None]:
        """Change `RuntimeSettings`, such as `overlap=5`, until the end of the `with` block."""
        former = self._call("PATCH", "/runtime", settings)
        try:
            yield
        finally:
            self._call("PATCH", "/runtime", former)

    @contextmanager
    def ingestion(self, latency: float) -> Iterator[None]:
        """Queries find telemetry `latency` seconds after it was received, inside the block."""
        former = self._call("PATCH", "/telemetry", {"latency": latency})
        try:
            yield
        finally:
            self._call("PATCH", "/telemetry", former)

    def engine(self, socket: Path | None) -> None:
        """Set the Docker engine that ACR Tasks build with, by its socket; None for no engine."""
        self._call("PATCH", "/engine", {"socket": str(socket or "")})

    def push(self, registry: str, repository: str, tag: str, layout: Path) -> str:
        """Put the image `tag` of an OCI layout into a registry; returns its digest."""
        body = {"registry": registry, "repository": repository, "tag": tag, "layout": str(layout)}
        return str(self._call("POST", "/images", body)["digest"])

    def put_manifests(
        self, registry: str, repository: str, manifests: Sequence[Mapping[str, Any]]
    ) -> None:
        """Put manifests into a registry, thousands in one call, and the blob `{}`. No checks.

        Each has `data` (JSON text with its mediaType), and may have `tag` and `created`.
        """
        wanted = {"registry": registry, "repository": repository, "manifests": list(manifests)}
        self._call("POST", "/manifests", wanted)

    @contextmanager
    def arm_pages(self, size: int) -> Iterator[None]:
        """Resource Manager's lists come in pages of at most `size` entries inside the block."""
        self._call("PUT", "/arm-page-size", size)
        try:
            yield
        finally:
            self._call("PUT", "/arm-page-size", 0)

    def backdate(self, registry: str, repository: str, reference: str, created: str) -> None:
        """Set the time of a manifest's push (a tag or digest), in ACR's format."""
        body = {"registry": registry, "repository": repository, "reference": reference}
        self._call("PATCH", "/images", {**body, "created": created})

    def add_subscription(
        self, name: str, groups: Sequence[str], shown: Mapping[str, str] | None = None
    ) -> str:
        """Add a subscription with these resource groups; returns its id.

        `shown` gives some of them the name of a group in another subscription, for clients of ARM.
        """
        body = {"name": name, "groups": list(groups), "shown": dict(shown or {})}
        return str(self._call("POST", "/subscriptions", body)["id"])

    def telemetry(self) -> list[dict[str, Any]]:
        """The envelopes that Application Insights received."""
        return list(self._call("GET", "/telemetry"))

    def clear_telemetry(self) -> None:
        """Delete the envelopes."""
        self._call("DELETE", "/telemetry")

    def _add(self, path: str, spec: Mapping[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = self._call("POST", path, dict(spec))
        self.info = self._call("GET", "/")
        return made

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        with httpx.Client(trust_env=False, timeout=60, verify=False) as http:  # noqa: S501  # plain HTTP
            answer = http.request(method, f"{self.info['admin']}{path}", json=body)
        if answer.status_code == 400:
            raise ValueError(answer.json()["error"])
        answer.raise_for_status()
        return answer.json() if answer.content else None


def _wait_until_ready(directory: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START
    while not (directory / "localazure.json").exists():
        if process.poll() is not None or time.monotonic() > deadline:
            log = (directory / _LOG).read_text()
            raise StartError(f"localazure did not start:\n{log}")
        time.sleep(0.02)


def _read(directory: Path) -> dict[str, Any]:
    info: dict[str, Any] = json.loads((directory / "localazure.json").read_bytes())
    return info
