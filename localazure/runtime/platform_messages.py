"""The events of a site's containers that the platform writes to its log, in either format.

The words are those of public logs. `new_log_format` and `old_log_format` write them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from localazure.runtime.pull import Pulled
from localazure.runtime.site_log import SiteLog
from localazure.state import Site


@dataclass(frozen=True, slots=True)
class Start:
    """A start that begins. `recycled`: App Service's word for the change that caused it, if any."""

    site: Site
    image: str
    environment: Mapping[str, str]
    """The platform's own variables: without the values of app settings."""
    recycled: str = ""


class PlatformMessages:
    """Writes the events of a site on one worker to its log.

    An object stands for what App Service calls a site: a container that serves, or the attempts to
    start one. It remembers its last error. A start beside a container that serves is a new one's
    (`beside`), any other start belongs to the one that failed or was stopped before.

    An event that a format doesn't log is a method that it doesn't override.
    """

    is_old_format = False
    """Then the site is never blocked, and settings changed during a start cause another one."""

    def __init__(self, site: Site, log: SiteLog) -> None:
        self.log = log
        self.site = site

    def output(self, lines: Sequence[str]) -> None:
        """Lines of a container's output."""
        self.log.container(lines)

    def note(self, text: str) -> None:
        """A message of the double that App Service doesn't have."""
        self.log.platform(f"localazure: {text}")

    def internal_error(self, error: BaseException) -> None:
        """An error of the double itself."""
        self.note(f"{type(error).__name__}: {error}")

    @property
    def has_login(self) -> bool:
        """Whether the site has Easy Auth."""
        newer = self.site.documents.get("config/authsettingsv2") or {}
        older = self.site.documents.get("config/authsettings") or {}
        return bool((newer.get("platform") or {}).get("enabled") or older.get("enabled"))

    @property
    def has_identity(self) -> bool:
        """Whether the site has a managed identity."""
        return bool(self.site.system_identity or self.site.user_identities)

    def beside(self) -> PlatformMessages:
        """The messages of a start beside a container that serves."""
        return self

    def container_name(self, identifier: str) -> str:
        """The name of a container; `identifier` is 12 hex digits."""
        return identifier

    def pulling(self, start: Start) -> None:
        """The start begins, with the pull of its image."""

    def pulled(self, pulled: Pulled, seconds: float) -> None:
        """The image was pulled."""

    def creating(self, container: str, pulled: Pulled, port: int) -> None:
        """The container is created and started."""

    def running(self, container: str, seconds: float) -> None:
        """The program runs; the startup probe begins."""

    def waiting(self, container: str, seconds: float) -> None:
        """The startup probe goes on."""

    def probe_succeeded(self, container: str, seconds: float) -> None:
        """The startup probe got a response."""

    def started(self) -> None:
        """The container gets requests from now on."""

    def pull_failed(self, code: str, why: str) -> None:
        """The image can't be pulled: the start has failed."""

    def volume_failed(self, path: str) -> None:
        """A volume can't be mounted: the start has failed."""

    def create_failed(self, container: str, why: str) -> None:
        """The container can't be created: the start has failed."""

    def exited_early(self, container: str, status: int, seconds: float, port: int) -> None:
        """The container ended before it answered: the start has failed."""

    def timed_out(self, container: str, seconds: float, port: int) -> None:
        """The startup probe got no response: the start has failed. The container still runs."""

    def timed_out_ended(self) -> None:
        """The container that didn't answer has ended."""

    def exited(self, container: str, status: int) -> None:
        """A container that served has ended by itself."""

    def cancelled(self, step: str) -> None:
        """Another change of the site has cancelled the start; its container, if any, has ended.

        `step` is `pull`, `start` or `probe`.
        """

    def stopping_site(self) -> None:
        """A container that served is going to be stopped."""

    def stopping(self, container: str, grace: float) -> None:
        """The container was sent its stop signal."""

    def stopped(self, container: str, seconds: float) -> None:
        """The container has ended."""

    def site_stopped(self) -> None:
        """A container that served has been stopped."""

    def down(self, blocked: float = 0.0) -> None:
        """Nothing is left of the start that failed; the site is blocked for so many seconds."""

    def still_blocked(self) -> None:
        """The platform does not start the site, since it is blocked."""

    def unblocked(self) -> None:
        """The site is no longer blocked."""


def slot_suffix(site: Site) -> str:
    """Four hex digits that name a slot in the names of its containers; empty for a site."""
    if not site.slot:
        return ""
    return hashlib.sha256(site.resource_id.lower().encode()).hexdigest()[:4]


def moment(seconds: float | None = None) -> str:
    """A time (seconds since the epoch; default: now) as the platform writes it inside of lines."""
    now = datetime.now(timezone.utc)
    time = now if seconds is None else datetime.fromtimestamp(seconds, timezone.utc)
    return f"{time:%m/%d/%Y %H:%M:%S}"
