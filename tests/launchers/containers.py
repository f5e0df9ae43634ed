"""Containers of the double's runtime, started one by one and looked at from outside."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import os
import secrets
import shutil
import signal
import tarfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from localazure.runtime import layers, rootfs, sandbox
from localazure.runtime.container import Container, Exit
from localazure.runtime.image import ImageConfig
from localazure.runtime.sandbox import Launch, Sandbox
from tests.launchers.images import Made

NOWHERE = f"InstrumentationKey={uuid.UUID(int=1)};IngestionEndpoint=https://localhost:1/"
"""A connection string that suits the collector, and leads to nobody."""
STOP_LIMIT = 5.0
"""Seconds that App Service gives a container to stop (WEBSITES_CONTAINER_STOP_TIME_LIMIT)."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process of a container; `pid` is as this machine counts."""

    pid: int
    name: str
    state: str
    parent: int


@dataclass
class Running:
    """A container that was started. `lines` is what it printed so far."""

    container: Container
    lines: list[str] = field(default_factory=list)

    def signal(self, number: int) -> float:
        """Send PID 1 a signal; returns when (monotonic)."""
        sent = time.monotonic()
        os.kill(self.container.pid, number)
        return sent

    def told(self, what: str) -> list[dict[str, Any]]:
        """What app.py said of one kind."""
        said = [json.loads(line) for line in self.lines if line.startswith("{")]
        return [each for each in said if each.get("what") == what]

    async def until_told(self, what: str, times: int = 1) -> dict[str, Any]:
        """The newest of what app.py says of one kind, when it has said so many."""
        await self.until(lambda: len(self.told(what)) >= times)
        return self.told(what)[-1]

    async def until(
        self, condition: Callable[[], Any], timeout: float = 20, every: float = 0.02
    ) -> None:
        """Wait until `condition` holds."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, f"it printed: {self.lines[-20:]}"
            await asyncio.sleep(every)

    async def get(self, path: str = "/", port: int = 8080) -> str:
        """GET a path; the answer's body."""
        reader, writer = await self.container.connect(port)
        writer.write(f"GET {path} HTTP/1.0\r\nHost: x\r\n\r\n".encode())
        head, _, body = (await asyncio.wait_for(reader.read(), 20)).partition(b"\r\n\r\n")
        writer.close()
        assert head.split(b" ")[1] == b"200", head
        return body.decode()

    async def send(self, path: str, port: int = 8080) -> None:
        """GET a path without waiting for an answer."""
        _, writer = await self.container.connect(port)
        writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    def touch(self, path: str) -> None:
        """Make an empty file in it."""
        Path(f"/proc/{self.container.pid}/root{path}").touch()

    async def until_listening(self, port: int, timeout: float = 20) -> None:
        """Wait until something listens on a port of the container's localhost."""
        table = Path(f"/proc/{self.container.pid}/net")
        await self.until(lambda: port in _listening(table), timeout)

    def processes(self) -> list[Process]:
        """Everything that runs in the container, zombies included; PID 1 first."""
        everything = _everything()
        found = [each for each in everything if each.pid == self.container.pid]
        for each in found:
            found += [child for child in everything if child.parent == each.pid]
        return found

    def collector(self) -> Process | None:
        """The collector, dead or alive, once it is one."""
        found = [each for each in self.processes() if each.name == "otelcol"]
        return found[0] if found else None

    def zombies(self) -> list[Process]:
        """Those that nobody has waited for."""
        return [each for each in self.processes() if each.state == "Z"]

    def catches(self, number: int) -> bool:
        """Whether PID 1 has a handler for a signal."""
        try:
            status = Path(f"/proc/{self.container.pid}/status").read_text()
        except OSError:
            return False
        (mask,) = (line for line in status.splitlines() if line.startswith("SigCgt"))
        return bool(int(mask.split()[1], 16) >> (number - 1) & 1)

    async def ended(self, timeout: float = 20) -> Exit:
        """Wait for its end."""
        return await asyncio.wait_for(self.container.wait(), timeout)


@dataclass
class Host:
    """Runs images; `directory` holds their files unpacked, each once."""

    directory: Path
    box: Sandbox
    containers: list[Running] = field(default_factory=list)

    async def run(
        self, image: Made, *, startup: str = "", ports: Sequence[int] = (), **environment: str
    ) -> Running:
        """Start a container, as App Service would. `startup` is the startup command."""
        root = await asyncio.to_thread(self._unpacked, image)
        config = ImageConfig.parse(image.config)
        user = rootfs.find_user(root, config.user)
        argv = config.command(startup)
        variables = {
            "PATH": rootfs.DEFAULT_PATH,
            "HOME": user.home,
            "APPLICATIONINSIGHTS_CONNECTION_STRING": NOWHERE,
            **dict(config.env),
            **environment,
        }
        name = secrets.token_hex(6)
        launch = Launch(
            rootfs=root,
            writable=self.directory / name,
            path=rootfs.find_program(root, argv[0], variables["PATH"], config.directory),
            argv=argv,
            environment=variables,
            user=user,
            directory=config.directory,
            hostname=name,
        )
        running = Running(Container(name, self.box, launch, config.stop_signal))
        self.containers.append(running)
        await running.container.start(ports, None, running.lines.extend)
        return running

    def _unpacked(self, image: Made) -> Path:
        # The launcher is in the configuration alone: images with other launchers share their files.
        root = self.directory / "images" / image.files
        if not root.exists():
            new = root.with_name(f"new-{secrets.token_hex(4)}")
            new.mkdir(parents=True)
            for each in image.layers:
                plain = io.BytesIO(gzip.decompress(each.data))
                with tarfile.open(fileobj=plain, mode="r:") as tar:
                    layers.apply(new, tar, self.directory / "layers" / each.diff_id)
            try:
                new.rename(root)
            except OSError:  # another one was quicker
                shutil.rmtree(new)
        return root


@cache
def _sandbox(directory: Path) -> Sandbox:
    return sandbox.detect(directory)


@asynccontextmanager
async def host(directory: Path) -> AsyncIterator[Host]:
    """A place for containers; those that still run in the end are killed."""
    here = Host(directory, await asyncio.to_thread(_sandbox, directory))
    try:
        yield here
    finally:
        for running in here.containers:
            running.container.kill()
        await asyncio.gather(*(r.container.wait() for r in here.containers if r.container.pid))


def run(directory: Path, test: Callable[[Host], Coroutine[Any, Any, None]]) -> None:
    """Run an async test with a host."""

    async def within() -> None:
        async with host(directory) as here:
            await test(here)

    asyncio.run(within())


async def stop(running: Running, number: int = signal.SIGTERM) -> tuple[Exit, float]:
    """Stop it as App Service does; how it ended, and after how many seconds."""
    began = running.signal(number)
    try:
        ending = await asyncio.wait_for(running.container.wait(), STOP_LIMIT)
    except asyncio.TimeoutError:
        running.container.kill()
        ending = await running.container.wait()
    return ending, time.monotonic() - began


def _everything() -> list[Process]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text()
        except OSError:
            continue
        number, _, rest = text.partition(" (")
        name, _, more = rest.rpartition(") ")
        state, parent = more.split()[:2]
        found.append(Process(int(number), name, state, int(parent)))
    return found


def _listening(table: Path) -> set[int]:
    ports = set()
    for name in ("tcp", "tcp6"):
        try:
            lines = (table / name).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            words = line.split()
            if words[3] == "0A":
                ports.add(int(words[1].rpartition(":")[2], 16))
    return ports
