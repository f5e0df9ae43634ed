"""What the double logs when something happens to a site: one text for each scenario."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable

from localazure.state import Site
from tests.localazure.runtime_support import RuntimeFixture, server_image

Scenario = Callable[[RuntimeFixture], Awaitable[str]]
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z ?")
_SHAPES = (
    (r"\blocalhost:\d+/app:[\w-]+", "<image>"),
    (r"\blocalhost:\d+", "<registry>"),
    (r"\bsha256:[0-9a-f]{64}", "<digest>"),
    (r"(?<=_)[0-9a-f]{32}\b", "<hex>"),
    (r"\b[0-9a-f]{12}(?=_|\b)", "<hex>"),
    (r"_\d+_[0-9a-f]{8}(?![0-9a-f])", "_<n>_<hex>"),
    (r"(web_+)[0-9a-f]{4}(?![0-9a-f])", r"\1<slot>"),
    (r"\d\d/\d\d/\d{4} \d\d:\d\d:\d\d", "<time>"),
    (r" -e .* (?=\S+  $)", " -e … "),
    (r"(?<![\w.:])\d+(\.\d+)?(?![\w.:]*[\w:])", "<n>"),
)
_STATE = re.compile(
    r"State: (\w+), Action: (\w+), LastError: (\w*), LastErrorTimestamp: \S+ \S+, "
    r"LastErrorDetails: .*, Details: (.*), DetailsLevel: (\w+)"
)


def shape(line: str) -> str:
    """A line without its time and with placeholders for what differs from log to log."""
    text = _STAMP.sub("", line, count=1)
    if state := _STATE.fullmatch(text):
        return " ".join(filter(None, state.group(1, 2, 3, 5)))
    for pattern, placeholder in _SHAPES:
        text = re.sub(pattern, placeholder, text)
    return text


async def started(here: RuntimeFixture, **spec: object) -> Site:
    """A site that runs and answers."""
    site = await here.site(here.push(server_image()), **spec)  # type: ignore[arg-type]
    await here.facts(site)
    return site


async def good_start(here: RuntimeFixture) -> str:
    """A change of a site that runs; the old container is stopped."""
    site = await started(here)
    await here.set(site, V="2")
    return await here.until_logged(site, "Site: web stopped.")


async def exits(here: RuntimeFixture) -> str:
    """A change after which the app exits, beside a container that serves and is stopped."""
    site = await started(here)
    await here.set(site, FAIL="3")
    return await here.until_logged(site, "Site: web stopped.", times=2)


async def times_out(here: RuntimeFixture) -> str:
    """A change after which the app doesn't answer, beside a container that serves."""
    site = await started(here)
    await here.set(site, LISTEN="9000", WEBSITES_CONTAINER_START_TIME_LIMIT="1")
    return await here.until_logged(site, "Site: web stopped.", times=2)


async def recovers(here: RuntimeFixture) -> str:
    """A start after one that failed: it repeats the last error."""
    site = await here.site(here.push(server_image()), app_settings={"FAIL": "3"})
    await here.until_logged(site, "Site: web stopped.")
    await here.set(site, FAIL="")
    return await here.until_logged(site, "Site started.")


async def pull_fails(here: RuntimeFixture) -> str:
    """A start of an image that doesn't exist."""
    site = await here.site(f"{here.push(server_image())}-no")
    return await here.until_logged(site, "Site: web stopped.")


async def volume_fails(here: RuntimeFixture) -> str:
    """A start with a volume that can't be mounted."""
    site = await here.site(here.push(server_image()), broken_volume="/mnt/goods")
    return await here.until_logged(site, "Site: web stopped.")


async def is_cancelled(here: RuntimeFixture) -> str:
    """A second change while the start after the first one waits for the app."""
    site = await started(here)
    await here.set(site, SLOW_START="60")
    await here.until_logged(site, "Pinging warmup path", times=2)
    await here.set(site, SLOW_START="0")
    return await here.until_logged(site, "Site: web stopped.", times=2)


async def is_cancelled_early(here: RuntimeFixture) -> str:
    """A second change while the image of the first one is pulled."""
    site = await started(here)
    image = here.push(server_image(Env=["NEW=1"]), tag="2")
    site.config["linuxFxVersion"] = f"DOCKER|{image}"
    here.supervisor.changed(site, "config/web changed: linuxFxVersion")
    while f"Pulling image: {image}." not in here.log(site):
        await asyncio.sleep(0)
    await here.set(site, V="2")
    return await here.until_logged(site, "Site: web stopped.", times=2)


async def is_blocked(here: RuntimeFixture) -> str:
    """Two failed starts in a row, and the start after the block."""
    site = await here.site(here.push(server_image()), app_settings={"FAIL": "3"})
    await here.until_logged(site, "will be blocked")
    await here.set(site, FAIL="")
    return await here.until_logged(site, "Site started.")


async def crashes(here: RuntimeFixture) -> str:
    """A container that served exits; the site is started again."""
    site = await started(here)
    await here.get(site, "/exit?9")
    return await here.until_logged(site, "Site started.", times=2)


async def old_with_identity(here: RuntimeFixture) -> str:
    """The old format: a start of a site with a managed identity."""
    site = await started(here, old_log=True)
    return here.log(site)


async def old_exits(here: RuntimeFixture) -> str:
    """The old format: the app exits."""
    site = await here.site(here.push(server_image()), app_settings={"FAIL": "3"}, old_log=True)
    return await here.until_logged(site, "because it failed during startup.")


async def old_times_out(here: RuntimeFixture) -> str:
    """The old format: the app doesn't answer."""
    settings = {"LISTEN": "9000", "WEBSITES_CONTAINER_START_TIME_LIMIT": "1"}
    site = await here.site(here.push(server_image()), app_settings=settings, old_log=True)
    return await here.until_logged(site, "because it failed during startup.")


async def old_pull_fails(here: RuntimeFixture) -> str:
    """The old format: the image doesn't exist."""
    site = await here.site(f"{here.push(server_image())}-no", old_log=True)
    return await here.until_logged(site, "because it failed during startup.")


async def old_with_login(here: RuntimeFixture) -> str:
    """The old format: Easy Auth is on, and the app exits."""
    documents = {"config/authsettingsv2": {"platform": {"enabled": True}}}
    settings = {"FAIL": "3"}
    image = here.push(server_image())
    site = await here.site(image, app_settings=settings, documents=documents, old_log=True)
    return await here.until_logged(site, "because it failed during startup.")


async def old_recycles(here: RuntimeFixture) -> str:
    """The old format: settings and another change at the same time make two starts."""
    site = await started(here, old_log=True)
    await here.set(site, V="2")
    here.supervisor.changed(site, "config/web changed: linuxFxVersion")
    return await here.until_logged(site, "for site web initialized successfully", times=6)


async def two_instances(here: RuntimeFixture) -> str:
    """A change of a site with two instances, as POST containerlogs answers."""
    site = await here.site(here.push(server_image()), workers=2)
    await here.until_logged(site, "Site started.", times=2)
    await here.set(site, V="2")
    await here.until_logged(site, "Site: web stopped.", times=2)
    return here.supervisor.container_log(site)


async def slot(here: RuntimeFixture) -> str:
    """A change of a slot that runs; the old container is stopped."""
    image = here.push(server_image())
    await here.site(image)
    site = await here.site(image, slot="staging")
    await here.facts(site)
    await here.set(site, V="2")
    return await here.until_logged(site, " stopped.", times=2)


SCENARIOS: dict[str, Scenario] = {
    scenario.__name__: scenario
    for scenario in (
        good_start,
        exits,
        times_out,
        recovers,
        pull_fails,
        volume_fails,
        is_cancelled,
        is_cancelled_early,
        is_blocked,
        crashes,
        old_with_identity,
        old_exits,
        old_times_out,
        old_pull_fails,
        old_with_login,
        old_recycles,
        two_instances,
        slot,
    )
}
