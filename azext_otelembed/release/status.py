"""`az otelembed status`: what runs, from reads alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from azext_otelembed.azure import components
from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.session import Session
from azext_otelembed.azure.sites import SiteClient, SiteId
from azext_otelembed.collector.connection_string import is_key_vault_reference, mask, parse
from azext_otelembed.console import Console
from azext_otelembed.errors import InvalidConfig, OtelembedError
from azext_otelembed.parallel import run_concurrently
from azext_otelembed.printable import one_line
from azext_otelembed.records.record_history import unproven_release
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
from azext_otelembed.verification.verify import look
from azext_otelembed.webapp.observe import SETTING, Observed, check_kind, observe
from azext_otelembed.webapp.setting import linked_component

if TYPE_CHECKING:
    from rich.panel import Panel


_COLOURS = {True: "green", False: "red", None: "yellow"}


@dataclass(frozen=True, slots=True)
class _Match:
    """The component that the site should send to, and whether the setting says so."""

    component: str | None
    matches: bool | None
    note: str


def status(
    session: Session,
    site: SiteId,
    *,
    options: EmbedOptions,
    app_insights: str | None,
    health_path: str,
    console: Console,
    question: TelemetryQuestion | None = None,
) -> dict[str, Any]:
    """The image that `site` runs, and whether its telemetry is set up. Changes nothing.

    `healthy` is true when the site is running with an embedded image and a valid setting of the
    expected component, answers, and has no stopped instance; with a `question`, also if telemetry
    of the running release arrives (null if that is open). `problems` lists the conditions that
    don't hold. `updates` lists what a deploy with `options` would change in the image.
    """
    client = SiteClient(session, site)
    with console.step("status") as step:
        step.say(f"reading {site}")
        observed = observe(client)
        check_kind(observed)
        step.say(f"asking {observed.host} and the registry")
        seen, running, match = run_concurrently(
            lambda: look(session, client, observed, health_path),
            partial(_report, session, observed, options),
            partial(_match, session, observed, app_insights),
        )
        step.say(f"{site}: {observed.state}")
    telemetry = None
    if question is not None:
        ask = partial(check_telemetry, session, observed, question, running.recipe)
        with console.step("telemetry") as step:
            telemetry = ask(app_insights=app_insights, health_path=health_path, say=step.say)
            step.say(telemetry.arrival.words)
    problems = _problems(observed, running, match, telemetry)
    problems += [] if seen.healthy else [seen.reason]
    return {
        "site": site.label,
        "resourceGroup": site.group,
        "state": observed.state,
        "host": observed.host,
        "image": {"name": observed.image, "digest": running.digest},
        **_embedded(running),
        "setting": {
            "name": SETTING,
            "present": observed.setting is not None,
            "value": mask(observed.setting) if observed.setting else None,
            "component": match.component,
            "matches": match.matches,
            "note": match.note or None,
        },
        "startupCommand": session.secrets.mask(observed.startup_command) or None,
        "instances": seen.evidence["instances"],
        "http": seen.evidence["http"],
        "updates": list(running.updates),
        "notes": list(running.notes),
        "telemetry": telemetry.as_result() if telemetry else dict(NOT_CHECKED),
        "healthy": False if problems else telemetry.seen if telemetry else True,
        "problems": problems,
    }


def _embedded(running: ImageReport) -> dict[str, Any]:
    return {
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
    row("config", found["config"] and f"{found['config'][:19]}…")
    row("launcher", found["launcher"])
    row("setting", _setting(setting), "" if setting["present"] else "red")
    row("startup", found["startupCommand"])
    row("instances", found["instances"])
    row("answers", found["http"])
    telemetry = found["telemetry"]
    row("telemetry", telemetry.get("summary") or "not checked", _COLOURS[telemetry.get("seen")])
    if healthy is None:
        row("unproven", telemetry["reason"], "yellow")
    for update in found["updates"]:
        row("update", update, "yellow")
    for note in found["notes"]:
        row("note", note, "yellow")
    for problem in found["problems"]:
        row("problem", problem, "red")
    title = {True: "healthy", False: "not healthy", None: "not proven healthy"}[healthy]
    colour = _COLOURS[healthy]
    return Panel(table, title=f"[{colour}]● {title}", title_align="left", border_style=colour)


def _report(session: Session, observed: Observed, options: EmbedOptions) -> ImageReport:
    try:
        reference = image_for_site(session, observed, None, None).or_latest()
        registry = AppRegistry(session)
        client = registry.open(reference)
        report: ImageReport
        report, notes = run_concurrently(
            lambda: report_image(client, reference, options),
            lambda: _release_notes(registry, observed),
        )
    except OtelembedError as unread:
        # The site's own state is worth showing even where its registry can't be read.
        return ImageReport(notes=(f"The image can't be read: {unread.message}",))
    return replace(report, notes=(*report.notes, *notes))


def _release_notes(registry: AppRegistry, observed: Observed) -> list[str]:
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
        f"`{observed.id.command('otelembed wait')}`."
    ]


def _match(session: Session, observed: Observed, app_insights: str | None) -> _Match:
    value = observed.setting
    if value is None:
        return _Match(None, None, "")
    if is_key_vault_reference(value):
        return _Match(None, None, "a Key Vault reference: its value isn't read")
    try:
        key = parse(value).instrumentation_key
    except InvalidConfig as problem:
        return _Match(None, False, f"malformed: {problem.message}")
    site = observed.id
    arm = Arm(session)
    try:
        if app_insights:
            expected = [components.find(arm, site.subscription, site.group, app_insights)]
        elif linked := linked_component(observed.tags):
            expected = [components.get(arm, linked)]
        else:
            expected = components.find_all(arm, site.subscription, site.group)
            if not any(_same_key(one.connection_string, key) for one in expected):
                # One of another group may have been named at the deploy.
                others = components.find_all(arm, site.subscription)
                found = [one for one in others if _same_key(one.connection_string, key)]
                expected = found or expected
    except OtelembedError as unseen:
        return _Match(None, None, f"its component can't be read: {unseen.message}")
    for component in expected:
        if _same_key(component.connection_string, key):
            return _Match(component.name, True, "")
    if len(expected) == 1:
        return _Match(expected[0].name, False, f"not the key of component '{expected[0].name}'")
    return _Match(None, None, f"of none of the components in resource group '{site.group}'")


def _same_key(connection_string: str, key: str) -> bool:
    try:
        return parse(connection_string).instrumentation_key == key
    except InvalidConfig:
        return False


def _problems(
    observed: Observed, running: ImageReport, match: _Match, telemetry: TelemetryCheck | None
) -> list[str]:
    problems: list[str] = []
    if observed.state.lower() != "running":
        problems.append(f"the site is {observed.state.lower() or 'in an unknown state'}")
    if running.embedded is None:
        problems.append("whether the image is embedded is unknown")
    elif not running.embedded:
        problems.append("the image has no collector")
    if observed.setting is None:
        problems.append(f"the app setting {SETTING} is missing")
    elif match.matches is False:
        problems.append(f"the app setting {SETTING} is {match.note}")
    if telemetry and telemetry.seen is False:
        problems.append(telemetry.reason)
    return problems


def _setting(setting: Mapping[str, Any]) -> str:
    if not setting["present"]:
        return f"{setting['name']} is missing"
    if setting["matches"]:
        return f"{setting['value']}  (component '{setting['component']}')"
    return f"{setting['value']}" + (f"  ({setting['note']})" if setting["note"] else "")
