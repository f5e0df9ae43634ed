"""One instance of a site: the life cycle of its container on one worker, as in App Service.

A change starts a new container beside the one that serves. When the new one answers, it gets the
requests, and the old one is stopped. If the new one fails to start, the site is stopped on this
worker, with the old container (App Service's "Revert by stopping site"), and the start is retried
after growing pauses.
"""

from __future__ import annotations

import asyncio
import enum
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from localazure.runtime import environment, image, probe, rootfs
from localazure.runtime.container import Container, StartError
from localazure.runtime.context import RuntimeContext
from localazure.runtime.image import ConfigurationError
from localazure.runtime.platform_messages import PlatformMessages
from localazure.runtime.pull import Pulled, PullError
from localazure.runtime.sandbox import Launch, NoSandboxError, Sandbox
from localazure.state import Site


class Phase(enum.Enum):
    """The state of the site on a worker."""

    STOPPED = enum.auto()
    STARTING = enum.auto()
    STARTED = enum.auto()
    FAILED = enum.auto()


@dataclass(frozen=True, slots=True)
class Serving:
    """A container that answers, on `port`; it has `grace` seconds to stop."""

    container: Container
    port: int
    grace: float
    since: float


class _StartFailedError(Exception):
    """The site failed to start; `code` is App Service's name for the reason."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Worker:
    """The site's n-th instance. All methods are for the event loop's thread."""

    def __init__(
        self, context: RuntimeContext, site: Site, number: int, messages: PlatformMessages
    ) -> None:
        self.site = site
        self.number = number
        self.phase = Phase.STOPPED
        self.serving: Serving | None = None
        self.changed = asyncio.Event()
        """Set, and replaced by a new one, whenever `phase` or `serving` changes."""
        self.messages = messages
        self._context = context
        self._task: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()
        self._stopping: dict[asyncio.Task[None], Container] = {}

    @property
    def ready(self) -> Serving | None:
        """The serving container, if it still runs."""
        serving = self.serving
        return serving if serving is not None and serving.container.running else None

    @property
    def is_pending(self) -> bool:
        """Whether a container starts, or the end of the serving one was not handled yet."""
        return self.phase is Phase.STARTING or (self.serving is not None and self.ready is None)

    def start(self) -> None:
        """Start the site with its present configuration; the old container serves meanwhile."""
        self._enter(Phase.STARTING)
        self._replace_task(self._run)

    def stop(self) -> None:
        """Stop the site here."""
        old, self.serving = self.serving, None
        self._stop_serving(old)
        self._enter(Phase.STOPPED)
        self._replace_task(self._do_nothing)

    async def close(self) -> None:
        """Stop the site; returns after the end of all containers."""
        self.stop()
        if self._task is not None:
            await asyncio.wait({self._task})
        if self._stopping:
            await asyncio.wait(self._stopping, timeout=self._context.timing.closing)
        for container in self._stopping.values():
            container.kill()
        if self._stopping:
            await asyncio.wait(self._stopping)

    def _replace_task(self, work: Callable[[], Awaitable[None]]) -> None:
        """Cancel the current task, and do `work` after its end."""
        if self._task is not None:
            self._task.cancel()

        async def run() -> None:
            async with self._lock:
                await work()

        self._task = asyncio.create_task(run())
        self._task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.messages.internal_error(error)
            self._enter(Phase.FAILED)
            context = {"message": f"localazure can't run {self.site.name}", "exception": error}
            task.get_loop().call_exception_handler(context)

    async def _do_nothing(self) -> None:
        """Nothing to do."""

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self.changed.set()
        self.changed = asyncio.Event()

    async def _run(self) -> None:
        failures = 0
        while True:
            try:
                fresh = await self._start_container()
            except _StartFailedError as failure:
                failures += 1
                self.messages.start_failed(failure.code, str(failure))
                old, self.serving = self.serving, None
                self._stop_serving(old)
            else:
                old, self.serving = self.serving, fresh
                self._enter(Phase.STARTED)
                self.messages.started()
                self._stop_serving(old)
                ended = await fresh.container.wait()
                self.serving = None
                self.messages.exited(ended.status)
                steady = time.monotonic() - fresh.since > self._context.timing.steady
                failures = 1 if steady else failures + 1
                if failures == 1:
                    self._enter(Phase.STARTING)
                    continue
            await self._block(failures)
            self._enter(Phase.STARTING)

    async def _block(self, failures: int) -> None:
        self._enter(Phase.FAILED)
        steps = self._context.timing.blocked
        pause = steps[min(failures, len(steps)) - 1]
        self.messages.blocked(pause)
        await asyncio.sleep(pause)

    async def _start_container(self) -> Serving:
        """A new container that answers. Raises _StartFailedError."""
        settings = dict(self.site.app_settings)
        wanted = image.of_site(self.site)
        try:
            sandbox = await self._context.sandbox()
        except NoSandboxError as error:
            raise _StartFailedError("ContainerStartFailure", str(error)) from error
        if not sandbox.root:
            self.messages.note(sandbox.summary)
        began = time.monotonic()
        self.messages.pulling(wanted)
        try:
            pulled = await self._context.images.pull(self.site, wanted)
        except PullError as error:
            raise _StartFailedError(error.code, str(error)) from error
        self.messages.pulled(wanted, pulled.reference.registry)
        container, ports = await self._create(sandbox, pulled, wanted)
        grace = self._context.timing.stop_time(settings)
        self.messages.running(container.name, time.monotonic() - began)
        try:
            port = await self._warm_up(container, ports, settings)
        except BaseException:
            if container.running:
                self._stop_container(container, grace)
            raise
        return Serving(container, port, grace, time.monotonic())

    async def _create(
        self, sandbox: Sandbox, pulled: Pulled, wanted: str
    ) -> tuple[Container, tuple[int, ...]]:
        identifier = secrets.token_hex(6)
        name = f"{identifier}_{self.messages.name}"
        ports = image.candidate_ports(self.site.app_settings, pulled.config)
        self.messages.creating(name, wanted, pulled.reference)
        try:
            launch = await asyncio.to_thread(self._launch, pulled, identifier, ports[0])
            container = Container(name, sandbox, launch, pulled.config.stop_signal)
            context = self._context
            await container.start(context.ports(), context.reaper(), self.messages.output)
        except (ConfigurationError, rootfs.RootfsError, StartError) as error:
            raise _StartFailedError(
                "ContainerStartFailure", f"Container {name} could not be started: {error}"
            ) from error
        return container, ports

    def _launch(self, pulled: Pulled, identifier: str, port: int) -> Launch:
        site, config = self.site, pulled.config
        user = rootfs.find_user(pulled.rootfs, config.user)
        variables = environment.variables(site, self.number, config, user, port, identifier)
        argv = config.command(str(site.config.get("appCommandLine") or ""))
        path = rootfs.find_program(pulled.rootfs, argv[0], variables["PATH"], config.directory)
        binds = {}
        if site.app_settings.get("WEBSITES_ENABLE_APP_SERVICE_STORAGE", "").lower() == "true":
            home = self._context.home(site)
            home.mkdir(parents=True, exist_ok=True)
            binds[home] = "/home"
        return Launch(
            rootfs=pulled.rootfs,
            writable=self._context.directory / "containers" / identifier,
            path=path,
            argv=argv,
            environment=variables,
            user=user,
            directory=config.directory,
            hostname=identifier,
            binds=binds,
        )

    async def _warm_up(
        self, container: Container, ports: tuple[int, ...], settings: Mapping[str, str]
    ) -> int:
        began = time.monotonic()
        limit = self._context.timing.start_time(settings)
        answer = asyncio.create_task(self._first_port(container, ports, settings))
        end = asyncio.create_task(container.wait())
        both = {answer, end}
        try:
            await asyncio.wait(both, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            elapsed = time.monotonic() - began
            if end.done():
                self.messages.exited(end.result().status)
                self.messages.probe_failed(elapsed)
                reason = f"Container {container.name} has exited, failing site start."
                raise _StartFailedError("ContainerExited", reason)
            if not answer.done():
                self.messages.probe_failed(elapsed)
                raise _StartFailedError(
                    "ContainerTimeout",
                    f"Container {container.name} didn't respond to HTTP pings on port: "
                    f"{' or '.join(map(str, ports))}, failing site start. "
                    "See container logs for debugging.",
                )
            self.messages.probe_succeeded(elapsed, container.name)
            return answer.result()
        finally:
            for task in both:
                task.cancel()

    async def _first_port(
        self, container: Container, ports: tuple[int, ...], settings: Mapping[str, str]
    ) -> int:
        await asyncio.sleep(self.site.start_delay)
        return await probe.first_port(container, ports, settings)

    def _stop_serving(self, old: Serving | None) -> None:
        """Stop a container that served, if there is one."""
        if old is not None and old.container.running:
            self._stop_container(old.container, old.grace)

    def _stop_container(self, container: Container, grace: float) -> None:
        began = time.monotonic()
        self.messages.stopping(container.name, grace)

        async def stop() -> None:
            await container.stop(grace)
            self.messages.stopped(container.name, time.monotonic() - began)

        task = asyncio.create_task(stop())
        self._stopping[task] = container
        task.add_done_callback(self._stopping.pop)
