"""`az otelembed status`: what runs, from reads alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.components import Refusal
from azext_otelembed.azure.session import Session
from azext_otelembed.azure.sites import SiteClient, SiteId
from azext_otelembed.collector.config import default
from azext_otelembed.collector.connection_string import mask
from azext_otelembed.console import Console
from azext_otelembed.errors import OtelembedError
from azext_otelembed.image.launcher import reports_exits
from azext_otelembed.image.reference import Digest, Reference
from azext_otelembed.parallel import run_concurrently
from azext_otelembed.printable import one_line
from azext_otelembed.records.record_history import running_release, unproven_release
from azext_otelembed.redaction import Secrets
from azext_otelembed.release.release_context import deploy_again, health_path_words
from azext_otelembed.release.telemetry_check import (
    NOT_CHECKED,
    TelemetryCheck,
    TelemetryQuestion,
    check_telemetry,
)
from azext_otelembed.target.app_image import image_for_site
from azext_otelembed.target.app_registry import AppRegistry
from azext_otelembed.target.embed_target import EmbedOptions
from azext_otelembed.target.image_report import ImageReport, report_image
from azext_otelembed.verification.collector_log import collector_log
from azext_otelembed.verification.verify import log_or_empty, look
from azext_otelembed.webapp.component_match import Match, match_setting, refusals
from azext_otelembed.webapp.observe import SETTING, Observed, check_kind, observe, observe_host
from azext_otelembed.webapp.telemetry_notes import missing_telemetry_notes

if TYPE_CHECKING:
    from rich.panel import Panel


_COLOURS = {True: "green", False: "red", None: "yellow"}


@dataclass(frozen=True, slots=True)
class _Setting:
    """The app setting and its component; `refusals` are those of the component."""

    match: Match
    refusals: tuple[Refusal, ...] = ()
    local_auth: Refusal | None = None
    notes: tuple[str, ...] = ()

    def as_result(self, observed: Observed) -> dict[str, Any]:
        """The field `setting` of the result."""
        component = self.match.component
        return {
            "name": SETTING,
            "present": observed.setting is not None,
            "value": mask(observed.setting) if observed.setting else None,
            "component": component.name if component else None,
            "matches": self.match.matches,
            "note": self.match.note or None,
        }


@dataclass(frozen=True, slots=True)
class _Collector:
    """Whether the embedded collector runs (None: unknown), and in words what shows that."""

    runs: bool | None
    words: str

    @classmethod
    def of(
        cls,
        observed: Observed,
        running: ImageReport,
        log: str,
        telemetry: TelemetryCheck | None,
        now: float,
    ) -> _Collector:
        if not running.embedded:
            return cls(None, "")
        if observed.state.lower() != "running":
            return cls(None, "not checked: the site isn't running")
        found = collector_log(log, running.recipe or "")
        if found.is_dead(now) and not (telemetry and telemetry.is_newer_than(found.last)):
            return cls(False, f"the collector doesn't run: {found.words(now)}")
        if found.started is None or not reports_exits(running.launcher or ""):
            return cls(None, found.state)
        return cls(True, found.state)

    def problems(self, secrets: Secrets, site: SiteId, health_path: str) -> list[str]:
        """What is wrong, and how to go on; none if nothing is known to be."""
        if self.runs is not False:
            return []
        doctor = site.command("otelembed doctor", *health_path_words(health_path))
        return [f"{secrets.brief(self.words)}. `{doctor}` finds the broken link"]

    def as_result(self, secrets: Secrets) -> dict[str, Any]:
        """The field `collectorState` of the result."""
        return {"running": self.runs, "summary": secrets.brief(self.words) or None}


def status(
    session: Session,
    site: SiteId,
    *,
    options: EmbedOptions,
    app_insights: str | None,
    health_path: str,
    console: Console,
    question: TelemetryQuestion | None = None,
    reads_quota: bool = True,
) -> dict[str, Any]:
    """The image that `site` runs, and whether its telemetry is set up. Changes nothing.

    `healthy` is true when the site is running with an embedded image and a valid setting of the
    expected component, answers, has no stopped instance, and its log shows no collector that exits;
    with a `question`, also if telemetry of the running release arrives (null if that is open).
    `problems` lists the conditions that don't hold. `reads_quota`: whether its daily cap is reached
    is asked, too (two requests). `updates` lists what a deploy with `options` would change.
    """
    client = SiteClient(session, site)
    with console.step("status") as step:
        step.say(f"reading {site}")
        observed = observe(client)
        check_kind(observed)
        step.say(f"asking {observed.host} and the registry")
        seen, log, running, setting = run_concurrently(
            lambda: look(session, client, observed, health_path),
            partial(log_or_empty, client),
            partial(_report, session, observed, options, health_path),
            partial(_setting_of, session, client, observed, app_insights, reads_quota),
        )
        step.say(f"{site}: {observed.state}")
    telemetry = None
    if question is not None:
        ask = partial(check_telemetry, session, observed, question, running.recipe)
        ask = partial(ask, app_insights=app_insights, health_path=health_path)
        telemetry = _asked(ask, former_host(session, observed), console)
    problems, notes = _problems(observed, running, setting)
    collector = _Collector.of(observed, running, log, telemetry, session.clock.now())
    problems += collector.problems(session.secrets, site, health_path)
    if telemetry and not telemetry.seen:
        notes += _missing_notes(observed, running)
    problems += [telemetry.reason] if telemetry and telemetry.seen is False else []
    problems += [] if seen.healthy else [seen.reason]
    return {
        "site": site.label,
        "resourceGroup": site.group,
        "state": observed.state,
        "host": observed.host,
        **_image(observed, running),
        "collectorState": collector.as_result(session.secrets),
        "setting": setting.as_result(observed),
        "startupCommand": session.secrets.mask(observed.startup_command) or None,
        **{name: seen.evidence[name] for name in ("instances", "http")},
        "updates": list(running.updates),
        "notes": notes,
        "telemetry": telemetry.as_result() if telemetry else dict(NOT_CHECKED),
        "healthy": False if problems else telemetry.seen if telemetry else True,
        "problems": problems,
    }


def _asked(ask: Callable[..., TelemetryCheck], host: str, console: Console) -> TelemetryCheck:
    with console.step("telemetry") as step:
        found = ask(former_host=host, say=step.say)
        step.found(found.arrival.words, found.seen)
    return found


def _missing_notes(observed: Observed, running: ImageReport) -> list[str]:
    """Why no telemetry may arrive, as far as the image's configuration tells."""
    if running.settings is None:
        return []
    app = Reference.parse(running.base["name"] if running.base else observed.image)
    return list(missing_telemetry_notes(observed, app, running.settings))


def _image(observed: Observed, running: ImageReport) -> dict[str, Any]:
    return {
        "image": {"name": observed.image, "digest": running.digest},
        "embedded": running.embedded,
        "embeddedBy": running.by,
        "base": running.base,
        "collector": running.collector,
        "config": running.config,
        "launcher": running.launcher,
        "recipe": running.recipe,
    }


def panel(found: Mapping[str, Any]) -> Panel:
    """What `status` found, drawn for a terminal."""
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")

    def row(name: str, value: object, style: str = "") -> None:
        if value not in (None, ""):
            table.add_row(name, Text(one_line(str(value)), style=style))

    healthy = found["healthy"]
    setting = found["setting"]
    collector = found["collector"] or {}
    base = found["base"] or {}
    row("site", f"{found['site']}  {found['state']}  https://{found['host']}")
    row("image", found["image"]["name"])
    by = ", by its own Dockerfile" if found["embeddedBy"] == "dockerfile" else ""
    row("embedded", {True: f"yes{by}", False: "no", None: "unknown"}[found["embedded"]])
    row("base", base.get("name"))
    version, name = collector.get("version"), collector.get("name") or ""
    row("collector", version and f"{version}  {name}".rstrip())
    row("runs", found["collectorState"]["summary"])
    row("config", found["config"] and f"{found['config'][:19]}…")
    row("launcher", found["launcher"])
    row("setting", _setting(setting), "" if setting["present"] else "red")
    row("startup", found["startupCommand"])
    row("instances", found["instances"])
    row("answers", found["http"])
    telemetry = found["telemetry"]
    row("telemetry", telemetry["summary"], _COLOURS[telemetry["seen"]])
    if healthy is None:
        row("unproven", telemetry["reason"], "yellow")
    for update in found["updates"]:
        row("update", update, "yellow")
    for note in found["notes"]:
        row("note", note, "yellow")
    for problem in found["problems"]:
        row("problem", problem, "red")
    title = {True: "healthy", False: "not healthy", None: "not proven healthy"}[healthy]
    title += ", telemetry not checked" if healthy and not telemetry["checked"] else ""
    colour = _COLOURS[healthy]
    return Panel(table, title=f"[{colour}]● {title}", title_align="left", border_style=colour)


def _report(
    session: Session, observed: Observed, options: EmbedOptions, health_path: str
) -> ImageReport:
    try:
        reference = image_for_site(session, observed, None, None).or_latest()
        registry = AppRegistry(session)
        client = registry.open(reference)
        report: ImageReport
        report, notes = run_concurrently(
            lambda: report_image(client, reference, options),
            lambda: _release_notes(registry, observed, health_path),
        )
    except OtelembedError as unread:
        # The site's own state is worth showing even where its registry can't be read.
        return ImageReport(notes=(f"The image can't be read: {unread.message}",))
    return replace(report, notes=(*report.notes, *notes))


def _release_notes(registry: AppRegistry, observed: Observed, health_path: str) -> list[str]:
    """A note if the newest release is unproven, and not accepted."""
    try:
        known = registry.records(observed).read()
    except OtelembedError as unread:
        return [f"The release records can't be read: {unread.message}"]
    release = unproven_release(observed.image, known)
    if release is None or release.accepted:
        return []
    return [
        f"Release {release.id} is unproven: {release.reason}. Verify it again with "
        f"`{observed.id.command('otelembed wait', *health_path_words(health_path))}`."
    ]


def former_host(session: Session, observed: Observed) -> str:
    """The host name of the slot that the running release came from by a swap; empty if none."""
    try:
        known = AppRegistry(session).records(observed).read()
        release = running_release(observed.image, known)
        slot = release and release.slot and replace(observed.id, slot=release.slot)
        return observe_host(SiteClient(session, slot)) if slot else ""
    except OtelembedError:
        return ""


def _setting_of(
    session: Session,
    client: SiteClient,
    observed: Observed,
    app_insights: str | None,
    reads_quota: bool,
) -> _Setting:
    if observed.setting is None:
        return _Setting(Match(None, None))
    arm = Arm(session)
    match = match_setting(client, lambda: arm, observed, observed.setting, app_insights)
    if match.component is None or match.matches is False:
        return _Setting(match)
    found, local_auth, notes = refusals(arm, observed, match.component, reads_quota=reads_quota)
    return _Setting(match, tuple(found), local_auth, tuple(notes))


def _problems(
    observed: Observed, running: ImageReport, setting: _Setting
) -> tuple[list[str], list[str]]:
    """The conditions that don't hold, and the notes."""
    problems: list[str] = []
    match, notes = setting.match, [*running.notes, *setting.notes]
    if observed.state.lower() != "running":
        problems.append(f"the site is {observed.state.lower() or 'in an unknown state'}")
    if running.embedded is None:
        problems.append("whether the image is embedded is unknown")
    elif not running.embedded:
        problems.append("the image has no collector")
    if observed.setting is None:
        problems.append(f"the app setting {SETTING} is missing")
    elif match.matches is False:
        own = running.config not in (None, str(Digest.of(default())))
        deploy = deploy_again(observed.id, running.launcher or "", has_own_config=own)
        repair = f". `{deploy}` sets it in order" if match.is_set_in_order else ""
        problems.append(f"the app setting {SETTING} is {match.note}{repair}")
    problems += [f"{one.reason}. {one.fix}" for one in setting.refusals]
    if one := setting.local_auth:
        # A configuration of the user's may send otherwise, with the site's identity.
        sends_by_key = running.config == str(Digest.of(default()))
        (problems if sends_by_key else notes).append(f"{one.reason}. {one.fix}")
    return problems, notes


def _setting(setting: Mapping[str, Any]) -> str:
    if not setting["present"]:
        return f"{setting['name']} is missing"
    if setting["matches"]:
        return f"{setting['value']}  (component '{setting['component']}')"
    return f"{setting['value']}" + (f"  ({setting['note']})" if setting["note"] else "")
