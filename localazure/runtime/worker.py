"""One instance of a site: the life cycle of its container on one worker, as in App Service.

A change starts a new container beside the one that serves. When the new one answers, both get
requests, and the old one is stopped some time later. If the new one fails to start, the old one is
stopped, too. The start is tried again after a pause; after a second failure the site is blocked.
"""

from __future__ import annotations

import asyncio
import enum
import functools
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from localazure.runtime import environment, image, probe, rootfs
from localazure.runtime.container import Container, StartError
from localazure.runtime.context import RuntimeContext
from localazure.runtime.image import ConfigurationError
from localazure.runtime.platform_messages import PlatformMessages, Start
from localazure.runtime.pull import Pulled, PullError
from localazure.runtime.sandbox import Launch, NoSandboxError
from localazure.runtime.start_pauses import StartPauses
from localazure.state import Site


class Phase(enum.Enum):
    """The state of the site on a worker."""

    STOPPED = enum.auto()
    STARTING = enum.auto()
    STARTED = enum.auto()
    FAILED = enum.auto()


@dataclass(frozen=True, slots=True, eq=False)
class Serving:
    """A container that answers, on `port`; it has `grace` seconds to stop."""

    container: Container
    port: int
    grace: float
    since: float
    messages: PlatformMessages


_PROBED_AGAIN = 0.75
_OVERLAP_OF_FAILURE = 1.1
"""Fractions of `RuntimeSettings.overlap`, App Service's 20 s: it logs every 15 s that it waits for
an answer (old format), and stops the old container 22 s after a failed start."""


class _StartFailedError(Exception):
    """The site failed to start, which its log says."""


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
        self._retiring: dict[Serving, asyncio.Task[None]] = {}
        self._stopping: dict[asyncio.Task[None], Container] = {}
        self._ending: asyncio.Task[None] | None = None
        """The end of the container whose start has failed or was cancelled last."""
        self._pauses = StartPauses(context.settings)
        self._recycled = ""
        self._recycles_again = False

    @property
    def ready(self) -> list[Serving]:
        """The containers that get requests: the newest, and old ones until they are stopped."""
        newest = [self.serving] if self.serving else []
        return [one for one in (*newest, *self._retiring) if one.container.running]

    @property
    def is_pending(self) -> bool:
        """Whether a container starts, or the end of the serving one was not handled yet."""
        serving = self.serving
        ended = serving is not None and not serving.container.running
        return self.phase is Phase.STARTING or ended

    @property
    def is_stopped(self) -> bool:
        """Whether the site neither runs nor starts here."""
        return self.phase in (Phase.STOPPED, Phase.FAILED) and not self.ready

    def start(self, recycled: str = "") -> None:
        """Start the site with its present configuration; the old container serves meanwhile.

        `recycled` is App Service's word for the change that is the cause, if there is one.
        """
        # In the old format, such a change during a start causes another start after it.
        if self.phase is Phase.STARTING and self.messages.is_old_format:
            self._recycled = recycled or self._recycled
            self._recycles_again = bool(self._recycled)
        else:
            self._recycled, self._recycles_again = recycled, False
        self._enter(Phase.STARTING)
        self._replace_task(self._run)

    def stop(self) -> None:
        """Stop the site here."""
        old, self.serving = self.serving, None
        for timer in self._retiring.values():
            timer.cancel()
        for one in (old, *self._retiring):
            self._stop_serving(one, is_site=one is old)
        self._retiring.clear()
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
        crashes = 0
        if self._pauses.is_blocked:
            await self._pause(self._pauses.while_blocked)
        while True:
            try:
                fresh = await self._start_container()
            except _StartFailedError:
                self._pauses.failures += 1
                self._recycled = ""
                self._retire(_OVERLAP_OF_FAILURE)
                await self._pause(self._pauses.after_failure)
                continue
            self._retire(1)
            self.serving, self._pauses.failures = fresh, 0
            self._enter(Phase.STARTED)
            self.messages.started()
            if self._recycles_again:
                self._recycles_again = False
                self._enter(Phase.STARTING)
                continue
            self._recycled = ""
            ended = await fresh.container.wait()
            self.serving = None
            self.messages.exited(fresh.container.name, ended.status)
            steady = time.monotonic() - fresh.since > self._context.timing.steady
            crashes = 1 if steady else crashes + 1
            if crashes == 1:
                self.messages.down()
                self._enter(Phase.STARTING)
            else:
                self._pauses.failures = crashes
                await self._pause(self._pauses.after_failure)

    async def _pause(self, wait: Callable[[PlatformMessages], Awaitable[None]]) -> None:
        self._enter(Phase.FAILED)
        await self._wait_for_ending()
        await wait(self.messages)
        self._enter(Phase.STARTING)

    async def _wait_for_ending(self) -> None:
        if self._ending is not None:
            await asyncio.wait({self._ending})

    async def _start_container(self) -> Serving:
        """A new container that answers. Raises _StartFailedError."""
        await self._wait_for_ending()
        if self.serving is not None and self.serving.messages is self.messages:
            self.messages = self.messages.beside()
        messages, settings = self.messages, dict(self.site.app_settings)
        messages.site = self.site
        began = time.monotonic()
        try:
            pulled = await self._pull()
        except asyncio.CancelledError:
            messages.cancelled("pull")
            raise
        try:
            container, ports = await self._create(pulled)
        except asyncio.CancelledError:
            messages.cancelled("start")
            raise
        grace = self._context.timing.stop_time(settings)
        messages.running(container.name, time.monotonic() - began)
        try:
            port = await self._warm_up(container, ports, settings)
        except asyncio.CancelledError:
            cancelled = functools.partial(messages.cancelled, "probe")
            self._ending = self._stop_container(container, grace, messages, cancelled)
            raise
        except asyncio.TimeoutError:
            ended = messages.timed_out_ended
            self._ending = self._stop_container(container, grace, messages, ended)
            raise _StartFailedError from None
        return Serving(container, port, grace, time.monotonic(), messages)

    async def _pull(self) -> Pulled:
        site, messages = self.site, self.messages
        wanted = image.of_site(site)
        variables = environment.shown(site, self.number)
        messages.pulling(Start(site, wanted, variables, self._recycled))
        began = time.monotonic()
        try:
            pulled = await self._context.images.pull(site, wanted)
        except PullError as error:
            messages.pull_failed(error.code, str(error))
            raise _StartFailedError from error
        messages.pulled(pulled, time.monotonic() - began)
        if site.broken_volume:
            messages.volume_failed(site.broken_volume)
            raise _StartFailedError
        return pulled

    async def _create(self, pulled: Pulled) -> tuple[Container, tuple[int, ...]]:
        context, messages = self._context, self.messages
        identifier = secrets.token_hex(6)
        name = messages.container_name(identifier)
        ports = image.candidate_ports(self.site.app_settings, pulled.config)
        messages.creating(name, pulled, ports[0])
        try:
            sandbox = await context.sandbox()
            if not sandbox.root:
                messages.note(sandbox.summary)
            launch = await asyncio.to_thread(self._launch, pulled, identifier, ports[0])
            container = Container(name, sandbox, launch, pulled.config.stop_signal)
            await container.start(context.ports(), context.reaper(), messages.output)
        except (NoSandboxError, ConfigurationError, rootfs.RootfsError, StartError) as error:
            messages.create_failed(name, str(error))
            raise _StartFailedError from error
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
        """The port on which the container answers. Raises TimeoutError and _StartFailedError."""
        began = time.monotonic()
        limit = self._context.timing.start_time(settings)
        answer = asyncio.create_task(self._first_port(container, ports, settings))
        end = asyncio.create_task(container.wait())
        both = {answer, end}
        try:
            while not answer.done() and not end.done() and time.monotonic() < began + limit:
                often = self._context.settings.overlap * _PROBED_AGAIN
                pause = min(often, began + limit - time.monotonic())
                await asyncio.wait(both, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
                if pause == often and not answer.done() and not end.done():
                    self.messages.waiting(container.name, time.monotonic() - began)
            elapsed = time.monotonic() - began
            if end.done():
                status = end.result().status
                self.messages.exited_early(container.name, status, elapsed, ports[0])
                raise _StartFailedError
            if not answer.done():
                self.messages.timed_out(container.name, elapsed, ports[0])
                raise asyncio.TimeoutError
            self.messages.probe_succeeded(container.name, elapsed)
            return answer.result()
        finally:
            for task in both:
                task.cancel()

    async def _first_port(
        self, container: Container, ports: tuple[int, ...], settings: Mapping[str, str]
    ) -> int:
        await asyncio.sleep(self.site.start_delay)
        return await probe.first_port(container, ports, settings)

    def _retire(self, overlaps: float) -> None:
        """Stop the container that serves, if there is one, after so many overlaps."""
        old, self.serving = self.serving, None
        if old is None or not old.container.running:
            return
        delay = self._context.settings.overlap * overlaps

        async def retire() -> None:
            await asyncio.wait({asyncio.create_task(old.container.wait())}, timeout=delay)
            del self._retiring[old]
            self._stop_serving(old, is_site=False)

        self._retiring[old] = asyncio.create_task(retire())

    def _stop_serving(self, old: Serving | None, *, is_site: bool) -> None:
        """Stop a container that served, if there is one; `is_site`: no other one takes over."""
        if old is None or not old.container.running:
            return
        messages = old.messages
        messages.stopping_site()

        def end() -> None:
            messages.site_stopped()
            if is_site:
                messages.down()

        self._stop_container(old.container, old.grace, messages, end)

    def _stop_container(
        self,
        container: Container,
        grace: float,
        messages: PlatformMessages,
        end: Callable[[], None],
    ) -> asyncio.Task[None]:
        """Stop a container, if it still runs, and then call `end`."""
        began = time.monotonic()
        if container.running:
            messages.stopping(container.name, grace)

        async def stop() -> None:
            if container.running:
                await container.stop(grace)
                messages.stopped(container.name, time.monotonic() - began)
            end()

        task = asyncio.create_task(stop())
        self._stopping[task] = container
        task.add_done_callback(self._stopping.pop)
        return task
