"""What a release works with: its options, image, site and records, and what it results in."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from azext_otelembed.az_commands import option, placeholder
from azext_otelembed.azure.session import Session
from azext_otelembed.azure.sites import SiteClient, SiteId
from azext_otelembed.console import Console
from azext_otelembed.image.launcher import launcher_words
from azext_otelembed.records import record
from azext_otelembed.records.record import Release
from azext_otelembed.records.record_store import RecordStore
from azext_otelembed.verification.site_answer import Ping
from azext_otelembed.verification.time_limits import default_timeout
from azext_otelembed.verification.verdict_tracker import PACE, Pace
from azext_otelembed.verification.verify import Verdict, verdict_result
from azext_otelembed.webapp.observe import Observed

EXIT_ROLLED_BACK = 4
EXIT_NOT_ROLLED_BACK = 5
EXIT_UNPROVEN = 6


def health_path_words(path: str) -> tuple[str, ...]:
    """The words of `--health-path`, unless it is the default one."""
    return () if path == "/" else option("--health-path", path)


def deploy_again(site: SiteId, launcher: str, *options: str, has_own_config: bool) -> str:
    """The command that deploys a site's image again: with the options of `launcher` (its label) and
    with a configuration of its own, if it has one, for the caller to fill in.
    """
    given = (pair for pair in launcher_words(launcher) if pair[0] not in options)
    words = [*options, *(word for pair in given for word in pair)]
    if has_own_config:
        words += ["--collector-config", placeholder("file")]
    return site.command("otelembed deploy", *words)


def see_history(site: SiteId) -> str:
    """The recommendation to list the releases of a site."""
    return f"See `{site.command('otelembed history')}`."


@dataclass(frozen=True, slots=True)
class TelemetryWait:
    """`seconds` to wait for telemetry of the release; `required`: whether it fails without any.

    `app_insights` names the component that is asked, if the caller gave one.
    """

    seconds: float
    required: bool = False
    app_insights: str | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """The options of `wait` that ask for the same."""
        required = ("--require-telemetry",) if self.required else ()
        return (*option("--wait-for-telemetry", f"{self.seconds:.0f}"), *required)


@dataclass(frozen=True, slots=True)
class ReleaseOptions:
    """`timeout` is in seconds, for the verification (None: as the site's start limit requires);
    `wait`: whether there is one. `rollback`: whether a release that fails is rolled back.
    `accept_unproven`: whether an unproven release is as good as a proven one. `telemetry`: how long
    telemetry is waited for (None: not at all).
    """

    timeout: int | None
    health_path: str
    rollback: bool = True
    wait: bool = True
    pace: Pace = PACE
    accept_unproven: bool = False
    telemetry: TelemetryWait | None = None

    def seconds(self, *sites: Observed) -> int:
        """The timeout of a release of a site that gets the settings of one of `sites`."""
        return self.timeout or max(default_timeout(site.settings) for site in sites)

    def status_of(self, verdict: Verdict) -> int:
        """The exit status for a site that is left as it is."""
        if verdict.healthy is None:
            return 0 if self.accept_unproven else EXIT_UNPROVEN
        return 0 if verdict.healthy else EXIT_NOT_ROLLED_BACK


@dataclass(frozen=True, slots=True)
class ReleaseImage:
    """The image to release, as linuxFxVersion spells it, and what the record says about it.

    `command`, `goes_back_from` and `target` are as in `Release`.
    """

    name: str
    digest: str
    recipe: str = ""
    base: str = ""
    command: str = ""
    goes_back_from: str = ""
    target: str = ""

    @classmethod
    def of(cls, release: Release) -> ReleaseImage:
        """The image of a release on record."""
        return cls(
            release.image,
            release.digest,
            release.recipe,
            release.base,
            release.command,
            release.goes_back_from,
            release.target,
        )


@dataclass(frozen=True, slots=True)
class ReleaseResult:
    """The record of a release, its verdict (None without a verification), and the exit status."""

    release: Release
    verdict: Verdict | None
    exit_status: int

    def as_result(self) -> dict[str, Any]:
        """The fields of a release in a command's result."""
        state = {"id": self.release.id, "state": self.release.state}
        return {**verdict_result(self.verdict), "release": state}

    @property
    def rolled_back(self) -> bool:
        """Whether the image and the setting from before the release are set again."""
        return self.exit_status == EXIT_ROLLED_BACK or self.release.state == record.ROLLED_BACK


@dataclass(frozen=True, slots=True)
class ReleaseContext:
    """The site that is released, its records, and the means to release it.

    `timeout` is in seconds; `began` is when the command did (monotonic seconds). `answer` is the
    site's to the request before the change, None if it wasn't asked.
    """

    session: Session
    client: SiteClient
    store: RecordStore
    options: ReleaseOptions
    console: Console
    timeout: int
    began: float
    answer: Ping | None = None

    @property
    def remaining(self) -> float:
        """Seconds left for the release: a given timeout bounds the command, but for the way back.

        The default one is for the verification alone, however long the builds before it took.
        """
        if self.options.timeout is None:
            return self.timeout
        left = self.began + self.timeout - time.monotonic()
        return max(min(left, self.session.deadline.remaining), 0.0)

    def command(self, verb: str, *options: str) -> str:
        """The command `az otelembed VERB` for the site, with the health path of this one."""
        words = (*health_path_words(self.options.health_path), *options)
        return self.client.id.command(f"otelembed {verb}", *words)

    @property
    def reachable(self) -> bool:
        """Whether this machine could reach the site before the change."""
        return self.answer is None or not self.answer.unreachable
