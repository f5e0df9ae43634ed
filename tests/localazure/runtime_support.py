"""A double with sites for tests of the runtime, and images made of this machine's own programs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from localazure.composition import build
from localazure.double import Double
from localazure.images.assemble import Entry, Image, Layer, layer, write_layout
from localazure.runtime.context import Timing
from localazure.runtime.supervisor import Supervisor
from localazure.state import Group, Site

GROUP = "rg"
QUICK = Timing(start_limit=20, stop_limit=2, closing=0.2)
SETTINGS = {"overlap": 0.3, "blocked": 0.8}

# Imports the modules of the apps below, then prints the files of all loaded modules.
_LOADED = """
import sys, json, os, signal, socket, threading, time
"localhost".encode("idna")
files = [m.__file__ for m in list(sys.modules.values()) if getattr(m, "__file__", None)]
print(json.dumps(files))
"""

SERVER = """
import json, os, signal, socket, sys, threading, time

say = lambda *words: print(*words, flush=True)

def answer(status, body, kind="application/json"):
    head = f"HTTP/1.1 {status}\\r\\nContent-Type: {kind}\\r\\n"
    head += f"Content-Length: {len(body)}\\r\\n\\r\\n"
    return head.encode() + body

def read(connection):
    data = b""
    while b"\\r\\n\\r\\n" not in data:
        more = connection.recv(65536)
        if not more:
            return "", {}, b""
        data += more
    head, _, body = data.partition(b"\\r\\n\\r\\n")
    first, *lines = head.decode().split("\\r\\n")
    headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65536)
    return first, headers, body

def facts():
    return {
        "pid": os.getpid(), "uid": os.getuid(), "gid": os.getgid(), "groups": os.getgroups(),
        "argv": sys.argv[1:], "cwd": os.getcwd(), "env": dict(os.environ),
        "hostname": socket.gethostname(),
        "processes": sorted(int(p) for p in os.listdir("/proc") if p.isdigit()),
        "interfaces": sorted(name for _, name in socket.if_nameindex()),
        "files": sorted(os.listdir("/")), "home": sorted(os.listdir("/home"))
        if os.path.isdir("/home") else None,
    }

def ask(target):
    host, port = target.split(":")
    with socket.create_connection((host, int(port)), 5) as far:
        far.sendall(b"hello from inside")
        far.shutdown(socket.SHUT_WR)
        return far.recv(65536)

def serve(connection):
    with connection:
        first, headers, body = read(connection)
        if not first:
            return
        method, target, _ = first.split(" ")
        path, _, query = target.partition("?")
        say("request", method, target)
        if path == "/facts":
            connection.sendall(answer("200 OK", json.dumps(facts()).encode()))
        elif path == "/echo":
            got = {"headers": headers, "body": body.decode(), "method": method, "query": query}
            connection.sendall(answer("201 Created", json.dumps(got).encode()))
        elif path == "/ask":
            connection.sendall(answer("200 OK", ask(query), "text/plain"))
        elif path == "/write":
            with open(query, "w") as file:
                file.write("written\\n")
            connection.sendall(answer("200 OK", b"{}"))
        elif path == "/slow":
            time.sleep(float(query))
            connection.sendall(answer("200 OK", b"{}"))
        elif path == "/stream":
            head = "HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n"
            connection.sendall(head.encode() + b"5\\r\\nfirst\\r\\n")
            time.sleep(0.5)
            connection.sendall(b"6\\r\\nsecond\\r\\n0\\r\\n\\r\\n")
        elif path == "/cut":
            connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 100\\r\\n\\r\\nhalf")
        elif path == "/hang-up":
            pass
        elif path == "/exit":
            say("leaving")
            os._exit(int(query))
        else:
            connection.sendall(answer("404 Not Found", b"{}"))

def stop(number, frame):
    say("got", signal.Signals(number).name)
    if os.environ.get("STUBBORN"):
        return
    os._exit(0)

for number in (signal.SIGTERM, signal.SIGQUIT):
    signal.signal(number, stop)
time.sleep(float(os.environ.get("SLOW_START", "0")))
if os.environ.get("FAIL"):
    say("can't go on")
    sys.exit(int(os.environ["FAIL"]))
listener = socket.create_server(
    (os.environ.get("BIND", "0.0.0.0"), int(os.environ.get("LISTEN", os.environ["PORT"])))
)
say("listening", *sys.argv[1:])
while True:
    connection, _ = listener.accept()
    threading.Thread(target=serve, args=(connection,), daemon=True).start()
"""
"""An app with paths for tests."""


def processes(marker: str) -> list[int]:
    """The PIDs of this machine's processes with a text in their command lines."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            if marker.encode() in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


def libraries(*programs: Path) -> list[Path]:
    """The shared libraries that programs need, the loader included."""
    found: set[Path] = set()
    for program in programs:
        text = subprocess.run(
            ["ldd", str(program)], capture_output=True, text=True, check=False
        ).stdout
        found |= {Path(name) for name in re.findall(r"(/\S+) \(0x", text)}
    return sorted(found)


def entries(*files: Path) -> list[Entry]:
    """Files of this machine, at the same paths; each once, as Docker requires."""
    return [Entry(str(file), file.read_bytes(), 0o755) for file in dict.fromkeys(files)]


@cache
def shell() -> Layer:
    """/bin/sh and two other programs with their libraries."""
    programs = [Path("/bin/sh"), Path("/bin/sleep"), Path("/bin/cat")]
    return layer(
        [*entries(*programs, *libraries(*programs)), Entry("tmp", kind="dir", mode=0o1777)]
    )


@cache
def python() -> Layer:
    """The running Python, with the few modules that SERVER uses."""
    program = Path(sys.executable).resolve()
    loaded = subprocess.run(
        [program, "-I", "-S", "-c", _LOADED], capture_output=True, text=True, check=True
    )
    modules = [Path(name) for name in json.loads(loaded.stdout)]
    extensions = [module for module in modules if module.suffix == ".so"]
    folder = Path(sys.base_prefix) / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    # Python looks for os.py and lib-dynload to find its library; with frozen modules,
    # collections/abc.py is loaded under another name.
    more = [folder / "os.py", folder / "collections" / "abc.py"]
    return layer(
        [
            *entries(program, *modules, *more, *libraries(program, *extensions)),
            Entry(str(folder / "lib-dynload"), kind="dir"),
            Entry("/app/server.py", SERVER.encode()),
        ],
        level=1,
    )


def server_image(**config: Any) -> Image:
    """An image that runs SERVER; `config` replaces fields of its configuration."""
    program = str(Path(sys.executable).resolve())
    entrypoint = [program, "-I", "-S", "/app/server.py"]
    return Image([python()], {"Entrypoint": entrypoint, "Cmd": ["from", "cmd"], **config})


def shell_image(script: str, **config: Any) -> Image:
    """An image whose /bin/sh runs a script."""
    return Image([shell()], {"Entrypoint": ["/bin/sh", "-c", script], **config})


@dataclass
class RuntimeFixture:
    """A double with a supervisor, and an HTTP client for its sites."""

    double: Double
    supervisor: Supervisor
    http: httpx.AsyncClient

    def push(self, image: Image | Sequence[Image], name: str = "app", tag: str = "1") -> str:
        """Put an image into the registry; returns the reference."""
        with tempfile.TemporaryDirectory() as folder:
            write_layout(Path(folder), image, tag)
            self.double.push("myregistry", name, Path(folder), tag)
        return f"{self.double.state.registry('myregistry').login_server}/{name}:{tag}"

    async def site(self, image: str, name: str = "web", **spec: Any) -> Site:
        """Add a site that may pull from the registry, and start it."""
        settings = {"WEBSITES_PORT": "8080", **spec.pop("app_settings", {})}
        config = {"acrUseManagedIdentityCreds": True, **spec.pop("config", {})}
        fields = {
            "name": name,
            "group": GROUP,
            "image": image,
            "app_settings": settings,
            "config": config,
            "system_identity": True,
            "roles": [{"role": "AcrPull", "scope": self.registry}],
        }
        return await self.double.add_site({**fields, **spec})

    @property
    def registry(self) -> str:
        """The ARM id of the registry."""
        return self.double.state.registry_id(self.double.state.registry("myregistry"))

    async def get(self, site: Site, path: str = "/facts", **options: Any) -> httpx.Response:
        """GET a path of the site."""
        return await self.http.get(f"https://{site.host}{path}", **options)

    async def facts(self, site: Site) -> dict[str, Any]:
        """The facts that SERVER reports about its process."""
        answer = await self.get(site)
        assert answer.status_code == 200, answer.text + self.log(site)
        facts: dict[str, Any] = answer.json()
        return facts

    def log(self, site: Site) -> str:
        """The site's log."""
        return self.supervisor.log(site)

    async def until_logged(self, site: Site, text: str, timeout: float = 15, times: int = 1) -> str:
        """Wait for a line in the log; returns the log."""
        deadline = time.monotonic() + timeout
        while self.log(site).count(text) < times:
            assert time.monotonic() < deadline, f"no {text!r} in:\n{self.log(site)}"
            await asyncio.sleep(0.02)
        return self.log(site)

    async def set(self, site: Site, **settings: str) -> None:
        """Change app settings, as a PUT of appsettings does."""
        site.app_settings.update(settings)
        self.supervisor.changed(site, "app settings changed")


@contextlib.asynccontextmanager
async def runtime_fixture(
    directory: Path, timing: Timing = QUICK, registry: Mapping[str, Any] | None = None
) -> AsyncIterator[RuntimeFixture]:
    """A double with a registry, `myregistry`."""
    double = await build(directory / "double", directory.parent / "ca")
    try:
        await double.runtime.close()
        supervisor = double.runtime = Supervisor(double, timing)
        double.change_runtime(SETTINGS)
        double.state.groups[GROUP] = Group(GROUP, "westeurope")
        await double.add_registry({"name": "myregistry", "group": GROUP, **(registry or {})})
        trust = ssl.create_default_context(cafile=str(double.authority.certificate))
        async with httpx.AsyncClient(verify=trust, timeout=30, trust_env=False) as http:
            yield RuntimeFixture(double, supervisor, http)
    finally:
        await double.close()
