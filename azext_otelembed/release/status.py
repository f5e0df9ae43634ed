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
from azext_otelembed.release.release_context import health_path_words
from azext_otelembed.target.app_image import image_for_site
from azext_otelembed.target.app_registry import AppRegistry
from azext_otelembed.target.embed_target import EmbedOptions
from azext_otelembed.target.image_report import ImageReport, report_image
from azext_otelembed.verification.verify import look
from azext_otelembed.webapp.observe import SETTING, Observed, check_kind, observe
from azext_otelembed.webapp.setting import linked_component

if TYPE_CHECKING:
    from rich.panel import Panel


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
) -> dict[str, Any]:
    """The image that `site` runs, and whether its telemetry is set up. Changes nothing.

    `healthy` is true when the site is running with an embedded image and a valid setting of the
    expected component, answers, and has no stopped instance; `problems` lists the conditions that
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
            partial(_report, session, observed, options, health_path),
            partial(_match, session, observed, app_insights),
        )
        step.say(f"{site}: {observed.state}")
    problems = _problems(observed, running, match)
    if not seen.healthy:
        problems.append(seen.reason)
    return {
        "site": site.label,
        "resourceGroup": site.group,
        "state": observed.state,
        "host": observed.host,
        "image": {"name": observed.image, "digest": running.digest},
        "embedded": running.embedded,
        "embeddedBy": running.by,
        "base": running.base,
        "collector": running.collector,
        "config": running.config,
        "launcher": running.launcher,
        "recipe": running.recipe,
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
        "healthy": not problems,
        "problems": problems,
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
    for update in found["updates"]:
        row("update", update, "yellow")
    for note in found["notes"]:
        row("note", note, "yellow")
    for problem in found["problems"]:
        row("problem", problem, "red")
    title = "[green]● healthy" if healthy else "[red]● not healthy"
    return Panel(table, title=title, title_align="left", border_style="green" if healthy else "red")


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


def _problems(observed: Observed, running: ImageReport, match: _Match) -> list[str]:
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
    return problems


def _setting(setting: Mapping[str, Any]) -> str:
    if not setting["present"]:
        return f"{setting['name']} is missing"
    if setting["matches"]:
        return f"{setting['value']}  (component '{setting['component']}')"
    return f"{setting['value']}" + (f"  ({setting['note']})" if setting["note"] else "")
