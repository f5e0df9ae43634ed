"""One double, the real az, and sites to try things on: what all end-to-end tests use."""

from __future__ import annotations

import itertools
import json
import os
import pty
import select
import struct
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSWINSZ
from typing import Any

import pyte

from localazure.az import AZ, Az, Completed
from localazure.client import ROOT, LocalAzure

EXTENSIONS = ROOT / ".local" / "extensions"
IMAGES = ROOT / ".local" / "images"
REGISTRY = "shopregistry"
COLLECTOR = "docker.io/otel/opentelemetry-collector-contrib:0.150.0"
SETTING = "APPLICATIONINSIGHTS_CONNECTION_STRING"
API_KEY = "sk-demo-5f1e8b7c2a9d"
"""The secret among each site's app settings."""
SETTINGS = {
    "WEBSITES_ENABLE_APP_SERVICE_STORAGE": "false",
    "WEBSITES_PORT": "8080",
    "SHOP_CURRENCY": "EUR",
    "PAYMENT_API_KEY": API_KEY,
    "SAMPLE_DIAGNOSTICS": "1",
}
OURS = ("aad", "graph", "arm", "acr", "blob", "registry", "site", "scm")
"""The services that a command may call; the collectors' telemetry is not among them."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How an az command ended, and the requests it made, oldest first."""

    returncode: int
    stdout: str
    stderr: str
    seconds: float
    requests: list[dict[str, Any]] = field(repr=False)

    @property
    def json(self) -> Any:
        """stdout, which must be one JSON value and nothing else."""
        return json.loads(self.stdout)

    @property
    def writes(self) -> list[str]:
        """The requests that change something in Azure or in a registry."""
        return [f"{r['method']} {r['path']}" for r in self.requests if is_write(r)]

    def show(self) -> str:
        """For a failed assertion: everything that was said, and asked."""
        asked = "\n".join(
            f"{r['service']} {r['method']} {r['path']}?{r['query']} → {r['status']}"
            for r in self.requests
        )
        return f"status {self.returncode}\n{self.stdout}\n{self.stderr}\n{asked}"


def is_write(record: Mapping[str, Any]) -> bool:
    """Whether a request can change anything: tokens and reads by POST can't."""
    reads = ("/config/appsettings/list", "/containerlogs", "/query")
    return (
        record["method"] not in ("GET", "HEAD")
        and record["service"] not in ("aad", "graph", "site")
        and not record["path"].startswith("/oauth2/")
        and not record["path"].lower().endswith(reads)
    )


@dataclass(frozen=True, slots=True)
class Site:
    """A site of one test, in a resource group of its own, with an image of its own."""

    cloud: Cloud
    group: str
    name: str
    slot: str | None
    id: str
    url: str
    repository: str
    registry: str
    host: str
    """The login server of its registry."""
    component: str | None

    @property
    def arguments(self) -> tuple[str, ...]:
        """What names it to az."""
        slot = ("--slot", self.slot) if self.slot else ()
        return "-g", self.group, "-n", self.name, *slot

    def image(self, tag: str = "1.0") -> str:
        """The reference of a tag of its own repository."""
        return f"{self.host}/{self.repository}:{tag}"

    def push(self, tag: str, layout: Path = IMAGES / "app", source: str | None = None) -> str:
        """Put an image into its repository; `source` is the tag in the layout."""
        return self.cloud.push(self.repository, tag, layout, source, self.registry)

    def deploy(self, *arguments: str, **options: Any) -> Answer:
        """`az otelembed deploy` of this site."""
        return self.cloud.otelembed("deploy", *self.arguments, *arguments, **options)

    def status(self, *arguments: str, **options: Any) -> Answer:
        """`az otelembed status` of this site."""
        return self.cloud.otelembed("status", *self.arguments, *arguments, **options)

    def settings(self) -> dict[str, str]:
        """Its app settings, read past az."""
        listed = self.cloud.arm("POST", f"{self.id}/config/appsettings/list")
        return dict(listed["properties"])

    def set(self, **settings: str | None) -> None:
        """Change app settings, past az; None takes one away."""
        kept = {**self.settings(), **settings}
        wanted = {name: value for name, value in kept.items() if value is not None}
        self.cloud.arm("PUT", f"{self.id}/config/appsettings", {"properties": wanted})

    def configuration(self) -> dict[str, Any]:
        """The properties of config/web."""
        return dict(self.cloud.arm("GET", f"{self.id}/config/web")["properties"])

    def configure(self, **properties: Any) -> None:
        """Change properties of config/web, past az."""
        self.cloud.arm("PATCH", f"{self.id}/config/web", {"properties": properties})

    def restrict_access(self) -> None:
        """Let access restrictions deny all addresses: the front end answers 403."""
        self.configure(ipSecurityRestrictionsDefaultAction="Deny")
        self.answers(403)

    def require_login(self, action: str = "RedirectToLoginPage") -> None:
        """Let Easy Auth answer in place of the app: a redirect, or what `action` says (Return401).

        The site is stopped meanwhile, so that no start is under way afterwards.
        """
        self.cloud.arm("POST", f"{self.id}/stop")
        properties = {
            "platform": {"enabled": True},
            "globalValidation": {
                "requireAuthentication": True,
                "unauthenticatedClientAction": action,
            },
        }
        self.cloud.arm("PUT", f"{self.id}/config/authsettingsV2", {"properties": properties})
        self.cloud.arm("POST", f"{self.id}/start")
        self.answers(int(action[-3:]) if action[-3:].isdigit() else 302)

    @property
    def runs(self) -> str:
        """The image that it is configured to run."""
        return str(self.configuration()["linuxFxVersion"]).partition("|")[2]

    def get(self, path: str = "/") -> Any:
        """An HTTP answer (httpx.Response) of the app."""
        with self.cloud.local.http() as http:
            return http.get(f"{self.url}{path}")

    def answers(self, status: int = 200, path: str = "/", within: float = 20.0) -> None:
        """Waits until the app answers with `status`."""
        eventually(lambda: self.get(path).status_code == status, within)

    def log(self) -> str:
        """The newest container log."""
        answer = self.cloud.arm("POST", f"{self.id}/containerlogs")
        return str(answer["text"])


@dataclass(slots=True)
class Cloud:
    """The double with an az that is logged in to it."""

    local: LocalAzure
    az: Az
    directory: Path
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    awake: list[Site] = field(default_factory=list)
    """The sites made that haven't been put to rest."""

    def otelembed(self, *arguments: str, az: Az | None = None, **options: Any) -> Answer:
        """Run `az otelembed …`; `az` is another caller's."""
        return self.run("otelembed", *arguments, az=az, **options)

    def run(self, *arguments: str, az: Az | None = None, **options: Any) -> Answer:
        """Run `az …` to its end, and note the requests that it makes."""
        before = self.mark()
        began = time.monotonic()
        done = (az or self.az).run(*arguments, **options)
        return self.answer(done, before, time.monotonic() - began)

    def answer(self, done: Completed, since: int, seconds: float = 0.0) -> Answer:
        """What an az command said, with the requests after the mark `since`."""
        requests = self.requests(since)
        return Answer(done.returncode, done.stdout, done.stderr, seconds, requests)

    def mark(self) -> int:
        """The number of the last request, for `requests`."""
        return self.local.mark()

    def requests(self, since: int) -> list[dict[str, Any]]:
        """Requests of commands after a mark: no telemetry, and no requests of tests to sites."""
        return [
            record
            for record in self.local.requests(since=since)
            if record["service"] in OURS and not record["user_agent"].startswith("python-httpx")
        ]

    def arm(self, method: str, path: str, body: Any = None) -> Any:
        """Ask ARM directly, as the owner. Text that isn't JSON comes as `{"text": …}`."""
        with self.local.http() as http:
            answer = http.request(
                method,
                f"{self.local.management}{path}",
                params={"api-version": "2024-04-01"},
                json=body,
                headers={"authorization": f"Bearer {self.local.token()}"},
            )
        answer.raise_for_status()
        if not answer.content:
            return None
        if "json" not in answer.headers.get("content-type", ""):
            return {"text": answer.text}
        return answer.json()

    def push(
        self,
        repository: str,
        tag: str,
        layout: Path,
        source: str | None = None,
        registry: str = REGISTRY,
    ) -> str:
        """Put an image of an OCI layout into a registry, under `tag`; returns its digest."""
        index = json.loads((layout / "index.json").read_bytes())
        names = [m["annotations"]["org.opencontainers.image.ref.name"] for m in index["manifests"]]
        wanted = source or (tag if tag in names else names[0])
        if wanted == tag:
            return self.local.push(registry, repository, tag, layout)
        copy = self.directory / "layouts" / f"{next(self.numbers)}"
        copy.mkdir(parents=True)
        (copy / "blobs").symlink_to(layout / "blobs")
        (copy / "oci-layout").write_bytes((layout / "oci-layout").read_bytes())
        (found,) = (m for m, name in zip(index["manifests"], names, strict=True) if name == wanted)
        found["annotations"]["org.opencontainers.image.ref.name"] = tag
        (copy / "index.json").write_text(json.dumps({**index, "manifests": [found]}))
        return self.local.push(registry, repository, tag, copy)

    def make_site(
        self,
        *,
        layout: Path = IMAGES / "app",
        tag: str = "1.0",
        component: bool = True,
        settings: Mapping[str, str] | None = None,
        registry: str = REGISTRY,
        pulls: bool = True,
        wait: bool = True,
        **spec: Any,
    ) -> Site:
        """A site that runs the image of `layout`, in a new resource group.

        `component`: whether the group has an Application Insights component; `pulls`: whether the
        site's identity has AcrPull; `wait`: until the app answers. `spec` goes to `add_site`.
        """
        number = next(self.numbers)
        group, name = spec.pop("group", None) or f"group-{number}", f"site-{number}"
        name = spec.pop("name", name)
        repository = spec.pop("repository", f"apps/{name}")
        host = self.local.registries[registry]
        self.push(repository, tag, layout, registry=registry)
        if component:
            self.local.add_component({"name": f"{name}-insights", "group": group})
        made = self.local.add_site(
            {
                "name": name,
                "group": group,
                "plan": "shop-plan",
                "image": f"{host}/{repository}:{tag}",
                "system_identity": True,
                "roles": [{"role": "AcrPull", "scope": f"{{{registry}.id}}"}] if pulls else [],
                "app_settings": {
                    **SETTINGS,
                    "DOCKER_REGISTRY_SERVER_URL": f"https://{host}",
                    **(settings or {}),
                },
                **spec,
                "config": {"acrUseManagedIdentityCreds": True, **spec.get("config", {})},
            }
        )
        site = Site(
            cloud=self,
            group=group,
            name=name,
            slot=spec.get("slot"),
            id=made["id"],
            url=made["url"],
            repository=repository,
            registry=registry,
            host=host,
            component=f"{name}-insights" if component else None,
        )
        self.awake.append(site)
        if wait:
            site.answers()
        return site

    def rest(self, before: int = 0) -> None:
        """Stop the sites made since there were `before` awake: each keeps two processes busy."""
        while len(self.awake) > before:
            self.arm("POST", f"{self.awake.pop().id}/stop")

    def delete(self, site: Site) -> None:
        """Delete a site, and its slots with it."""
        self.arm("DELETE", site.id)
        for one in [one for one in self.awake if f"{one.id}/".startswith(f"{site.id}/")]:
            self.awake.remove(one)

    def connection_string(self, component: str) -> str:
        """What a component would have a site set."""
        return self.local.components[component]

    def caller(self, *roles: tuple[str, str]) -> Az:
        """az logged in as another service principal, with roles `(role, scope)`."""
        number = next(self.numbers)
        client_id = f"44444444-0000-4000-8000-{number:012}"
        named = [{"role": role, "scope": scope} for role, scope in roles]
        self.local.add_principal(client_id, "not-a-secret", named)
        az = Az(self.local, self.directory / f"az-{number}", EXTENSIONS)
        az.login(client_id, "not-a-secret")
        return az

    def token(self, *roles: tuple[str, str]) -> str:
        """A token for Azure Resource Manager, of another principal with roles `(role, scope)`."""
        client_id = f"55555555-0000-4000-8000-{next(self.numbers):012}"
        named = [{"role": role, "scope": scope} for role, scope in roles]
        self.local.add_principal(client_id, "not-a-secret", named)
        form = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": "not-a-secret",
            "scope": "https://management.core.windows.net//.default",
        }
        with self.local.http() as http:
            address = f"{self.local.management}/{self.local.tenant}/oauth2/v2.0/token"
            answer = http.post(address, data=form)
        return str(answer.raise_for_status().json()["access_token"])

    def registry_id(self, registry: str = REGISTRY) -> str:
        """The ARM id of a registry."""
        return (
            f"/subscriptions/{self.local.subscription}/resourceGroups/shop-rg"
            f"/providers/Microsoft.ContainerRegistry/registries/{registry}"
        )

    def add_registry(self) -> str:
        """The name of a new registry, with no collector in it."""
        name = f"registry{next(self.numbers)}"
        self.local.add_registry({"name": name, "group": "shop-rg"})
        return name

    @contextmanager
    def fault(self, **fault: Any) -> Iterator[int]:
        """Let something go wrong meanwhile."""
        number = self.local.fault(**fault)
        try:
            yield number
        finally:
            self.local.clear_faults()

    def until_held(self, process: subprocess.Popen[str], since: int) -> dict[str, Any]:
        """The request of a running command that a fault holds; AssertionError if it ends before."""

        def held() -> dict[str, Any] | None:
            found = [r for r in self.local.requests(since) if r["held"]]
            assert found or process.poll() is None, process.communicate()
            return found[0] if found else None

        record: dict[str, Any] = eventually(held, within=60)
        return record

    def on_terminal(
        self,
        *arguments: str,
        az: Az | None = None,
        columns: int = 110,
        lines: int = 60,
        timeout: float = 120,
        env: Mapping[str, str] | None = None,
        reply: Callable[[], str] | None = None,
    ) -> Screen:
        """Run `az …` as a person does: stdin, stdout and stderr are one terminal.

        `reply` is called once it asks something, and returns what is typed then.
        """
        screen = pyte.Screen(columns, lines)
        stream = pyte.ByteStream(screen)
        leader, follower = pty.openpty()
        ioctl(follower, TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        environment = (az or self.az).environment({"TERM": "xterm-256color", **(env or {})})
        process = subprocess.Popen(
            [str(AZ), *arguments],
            stdin=follower,
            stdout=follower,
            stderr=follower,
            env=environment,
            cwd=self.az.folder,
            start_new_session=True,
        )
        os.close(follower)
        raw = b""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if not select.select([leader], [], [], 0.2)[0]:
                continue
            try:
                data = os.read(leader, 65536)
            except OSError:  # how Linux tells that the other side has closed
                break
            if not data:
                break
            raw += data
            stream.feed(data)
            if reply is not None and b"(y/N)" in raw:
                os.write(leader, f"{reply()}\n".encode())
                reply = None
        os.close(leader)
        return Screen(process.wait(10), [line.rstrip() for line in screen.display], raw.decode())


@dataclass(frozen=True, slots=True)
class Screen:
    """What a terminal shows when a command has ended, and everything that was written to it."""

    returncode: int
    lines: list[str]
    raw: str

    @property
    def text(self) -> str:
        """The screen as one text."""
        return "\n".join(self.lines).rstrip()


def eventually(condition: Callable[[], Any], within: float = 20.0, every: float = 0.1) -> Any:
    """The first true value of `condition`; AssertionError when there is none in time."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"still not so after {within:.0f} s"
        time.sleep(every)
    return value
