"""One running container: an image's program as PID 1 of its own namespaces."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localazure.runtime import netns, rootfs, sandbox, shim
from localazure.runtime.egress import Egress
from localazure.runtime.reaper import Reaper
from localazure.runtime.sandbox import Launch, Sandbox

_LONGEST_LINE = 16 * 1024
"""Docker splits longer log lines, too."""
_LOOPBACK_PATIENCE = 5.0
_OUTPUT_PATIENCE = 2.0

RESOLV_CONF = (
    b"# no name servers: a container of localazure reaches this machine's localhost only\n"
)


class StartError(RuntimeError):
    """The container could not be started; the message says why, for the platform's log."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a container ended: `status` is 128 + n for signal n; `killed`: by `Container.kill`."""

    status: int
    killed: bool


class Container:
    """A container that was started. `name` is `<12 hex>_<site>`, as in App Service's log."""

    def __init__(self, name: str, box: Sandbox, launch: Launch, stop_signal: int) -> None:
        self.name = name
        self.pid = 0
        """The PID of the container's PID 1 on this machine; 0 before the start."""
        self._box = box
        self._launch = launch
        self._stop_signal = stop_signal
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._egress = Egress()
        self._network: netns.Network | None = None
        self._handle: int | None = None
        self._killed = False
        self._ended: asyncio.Task[Exit] | None = None

    async def start(
        self, ports: Sequence[int], reaper: Reaper | None, output: Callable[[list[str]], None]
    ) -> None:
        """Start it; `ports` of this machine's localhost are reachable inside.

        `output` is called with the lines of its stdout and stderr. `reaper` kills it if the
        double's process ends. Raises StartError if bubblewrap fails.
        """
        await asyncio.to_thread(self._make_files)
        try:
            await self._spawn(ports, reaper, output)
        except BaseException:
            await self._discard()
            raise
        self._ended = asyncio.create_task(self._end())

    def _make_files(self) -> None:
        launch = self._launch
        sandbox.make_writable(self._box, launch)
        lower = launch.rootfs if self._box.overlay else None
        files = {
            "/etc/hostname": f"{launch.hostname}\n".encode(),
            "/etc/hosts": _hosts(launch.hostname),
            "/etc/resolv.conf": RESOLV_CONF,
        }
        for path, data in files.items():
            with contextlib.suppress(NotADirectoryError):  # an image may have /etc as a link
                rootfs.put_file(launch.upper, lower, path, data)
        _make_directory(launch, lower)

    async def _spawn(
        self, ports: Sequence[int], reaper: Reaper | None, output: Callable[[list[str]], None]
    ) -> None:
        user = self._launch.user if self._box.root else None
        out_read, out_write = os.pipe()
        info_read, info_write = os.pipe()
        gate_read, gate_write = os.pipe()
        program = shim.in_memory(user, gate_read, [info_read])
        options = _memory_file(sandbox.options(self._box, self._launch, reaped=reaper is not None))
        if user is not None:
            os.fchown(out_write, user.uid, user.gid)  # the program may open /dev/stdout
        try:
            self._reading = asyncio.create_task(_read_lines(await _reader(out_read), output))
            info = await _reader(info_read)
            arguments = (
                *("--args", str(options), "--info-fd", str(info_write), "--"),
                *(f"/proc/self/fd/{program}", self._launch.path, *self._launch.argv),
            )
            # info_read, too: bubblewrap's write must not fail when the double has ended, since then
            # its child would wait for it for ever.
            fds = (program, options, info_read, info_write, gate_read)
            await self._execute(arguments, out_write, fds)
        except BaseException:
            os.close(gate_write)
            raise
        finally:
            for fd in (out_write, info_write, gate_read, program, options):
                os.close(fd)
        try:
            self.pid = await _child(info)
            self._handle = os.pidfd_open(self.pid)
            if reaper is not None:
                reaper.watch(self._handle)
                self._watch_bubblewrap(reaper)
            await self._prepare(ports)
            os.write(gate_write, b"1")
        finally:
            os.close(gate_write)

    async def _execute(self, arguments: Sequence[str], output: int, fds: Sequence[int]) -> None:
        """Start bubblewrap. A cancellation waits until its PID is known."""
        starting = asyncio.create_task(
            asyncio.create_subprocess_exec(
                str(self._box.program),
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=fds,
                start_new_session=True,
                env={},
                umask=0o022,
            )
        )
        try:
            await asyncio.shield(starting)
        finally:
            self._process = await starting

    def _watch_bubblewrap(self, reaper: Reaper) -> None:
        """Let the reaper kill bubblewrap, too: it ends with its child, unless it is stopped."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(self._process.pid)
            try:
                reaper.watch(handle)
            finally:
                os.close(handle)

    async def _prepare(self, ports: Sequence[int]) -> None:
        """Set up its network; its program waits for that."""
        join = functools.partial(netns.join, root=self._box.root)
        network = self._network = await asyncio.to_thread(join, self.pid)
        deadline = time.monotonic() + _LOOPBACK_PATIENCE
        while not netns.is_up(network):
            if time.monotonic() > deadline:
                raise StartError("its loopback interface did not come up")
            await asyncio.sleep(0.002)
        netns.add_address(network)
        await self._egress.open(network, ports)

    async def connect(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the container's `port`; OSError if nothing listens there."""
        if self._network is None:
            raise ConnectionRefusedError(f"{self.name} is gone")
        made = netns.tcp(self._network)
        try:
            await asyncio.get_running_loop().sock_connect(made, (netns.ADDRESS, port))
            return await asyncio.open_connection(sock=made)
        except BaseException:
            made.close()
            raise

    @property
    def running(self) -> bool:
        """Whether its program has not ended yet."""
        return self._process is not None and self._process.returncode is None

    async def wait(self) -> Exit:
        """Wait for its end, all its output read and its files removed."""
        if self._ended is None:
            raise StartError("it was never started")
        return await asyncio.shield(self._ended)

    async def stop(self, grace: float) -> Exit:
        """Send the stop signal, and KILL after `grace` seconds; then wait for the end."""
        self._signal(self._stop_signal)
        try:
            return await asyncio.wait_for(self.wait(), grace)
        except asyncio.TimeoutError:
            self.kill()
            return await self.wait()

    def kill(self) -> None:
        """Send KILL, if it still runs."""
        if self.running:
            self._killed = True
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self._handle is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, number)

    async def _end(self) -> Exit:
        if self._process is None:
            raise StartError("it was never started")
        status = await self._process.wait()
        await self._discard()
        return Exit(status, self._killed)

    async def _discard(self) -> None:
        """Kill the process, if it runs, and release all resources."""
        self.kill()
        self._egress.close()
        if self._process is not None:
            self._kill_group(self._process)
            await self._process.wait()
        if self._reading is not None:
            await _finish(self._reading)
        if self._handle is not None:
            os.close(self._handle)
        network, self._network = self._network, None
        self._handle = None
        if network is not None:
            await asyncio.to_thread(network.close)
        await asyncio.to_thread(sandbox.remove_writable, self._launch)

    def _kill_group(self, process: asyncio.subprocess.Process) -> None:
        """Kill bubblewrap's process group: itself, and its child if there is one.

        Until the child has executed a program, it does not end with bubblewrap: it waits for a
        message from bubblewrap for ever, and holds the output's pipe open. The group's id is
        bubblewrap's PID, so it is valid only until that process was waited for.
        """
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _memory_file(options: Sequence[str]) -> int:
    """A file for bubblewrap's --args, which keeps the app settings out of process lists."""
    if any("\0" in option for option in options):
        raise StartError("its environment has a null byte")
    fd = os.memfd_create("localazure-options", 0)
    os.write(fd, b"".join(f"{option}\0".encode() for option in options))
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


async def _reader(fd: int) -> asyncio.StreamReader:
    """A reader of a pipe; `fd` is closed at the pipe's end."""
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    pipe = os.fdopen(fd, "rb", buffering=0)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, pipe)
    return reader


async def _finish(reading: asyncio.Task[None]) -> None:
    """Wait for the rest of the output, for a limited time: the pipe may stay open."""
    _, pending = await asyncio.wait({reading}, timeout=_OUTPUT_PATIENCE)
    for task in pending:
        task.cancel()


async def _read_lines(reader: asyncio.StreamReader, output: Callable[[list[str]], None]) -> None:
    rest = b""
    while data := await reader.read(1 << 16):
        *lines, rest = (rest + data).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            lines.append(rest)
            rest = b""
        if lines:
            output([line.decode("utf-8", "replace") for line in lines])
    if rest:
        output([rest.decode("utf-8", "replace")])


async def _child(info: asyncio.StreamReader) -> int:
    """The PID of bubblewrap's child, from --info-fd."""
    text = b""
    while True:
        data = await info.read(4096)
        text += data
        with contextlib.suppress(ValueError):
            document: dict[str, Any] = json.loads(text)
            return int(document["child-pid"])
        if not data:
            raise StartError("bubblewrap did not start it")


def _hosts(hostname: str) -> bytes:
    lines = ("127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback")
    return "\n".join((*lines, f"{netns.ADDRESS}\t{hostname}", "")).encode()


def _make_directory(launch: Launch, lower: Path | None) -> None:
    """Make the working directory if the image lacks it, as Docker does."""
    if rootfs.inside(launch.rootfs, launch.directory).exists():
        return
    rootfs.make_folders(launch.upper, lower, launch.directory)
