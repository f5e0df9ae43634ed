"""`az otelembed doctor`: every link from a site to Application Insights, from reads alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

from azext_otelembed.az_commands import placeholder
from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.components import Component
from azext_otelembed.azure.session import Session
from azext_otelembed.azure.sites import SiteClient, SiteId
from azext_otelembed.collector.config import ConfigFile, default, read
from azext_otelembed.collector.connection_string import TRACK, is_reference
from azext_otelembed.collector.destination import destination
from azext_otelembed.console import Console
from azext_otelembed.deadline import Deadline
from azext_otelembed.errors import InvalidConfig, OtelembedError, Refused
from azext_otelembed.image.reference import Reference
from azext_otelembed.parallel import run_concurrently
from azext_otelembed.release.chain import (
    MISSING,
    Facts,
    SettingFacts,
    app_insights_option,
    links,
    unsupported,
)
from azext_otelembed.release.status import former_host
from azext_otelembed.release.telemetry_check import TelemetryQuestion, check_telemetry
from azext_otelembed.target.running_image import RunningImage, running_image
from azext_otelembed.telemetry.link import Link, health
from azext_otelembed.telemetry.recipient import recipient
from azext_otelembed.validation.binary_cache import BinaryCache
from azext_otelembed.validation.local_validation import check_machine, validate_with
from azext_otelembed.validation.verdict import Verdict
from azext_otelembed.verification.collector_log import CollectorLog, collector_log
from azext_otelembed.verification.site_answer import Ping, ping
from azext_otelembed.verification.verify import look
from azext_otelembed.webapp.component_match import Match, match_setting, refusals
from azext_otelembed.webapp.key_vault import reference_state
from azext_otelembed.webapp.observe import SETTING, Observed, check_kind, observe
from azext_otelembed.webapp.preflight import check_pull, check_startup_command

Result = TypeVar("Result")
_VALIDATION = 20.0
"""Seconds that the collector may take to validate its configuration."""


def doctor(
    session: Session,
    site: SiteId,
    *,
    question: TelemetryQuestion,
    app_insights: str | None,
    health_path: str,
    console: Console,
    binaries: BinaryCache,
) -> dict[str, Any]:
    """Checks each link of the chain of `site`. Changes nothing.

    A configuration of its own is validated by its collector, if `binaries` has that already.
    `healthy` is true if every link holds, false if one is broken, null if one is unknown and none
    broken. Raises `NotFound`, `Unauthorized` and `AzureFailed` if the site itself can't be read.
    """
    with console.step("doctor") as step:
        step.say(f"reading {site}")
        observed = observe(SiteClient(session, site))
        try:
            check_kind(observed)
        except Refused as refused:
            return _result(session, observed, unsupported(refused))
        step.say(f"checking {site}, its image, its setting and its log")
        facts = _facts(session, observed, question, app_insights, health_path, step.say)
        found = links(replace(facts, validated=_validated(session, facts.image, binaries)))
        step.found(f"{site}: {_summary(found)}", health(found))
    return _result(session, observed, found)


def _result(session: Session, observed: Observed, found: tuple[Link, ...]) -> dict[str, Any]:
    results = [link.as_result() for link in found]
    for one in results:
        one["evidence"] = session.secrets.mask(one["evidence"])
    return {
        "site": observed.id.label,
        "resourceGroup": observed.id.group,
        "host": observed.host,
        "image": observed.image or None,
        "healthy": health(found),
        "links": results,
    }


def _summary(found: tuple[Link, ...]) -> str:
    broken = [link.name for link in found if link.state.value == "broken"]
    unknown = [link.name for link in found if link.state.value == "unknown"]
    if not broken and not unknown:
        return "every link holds"
    parts = [f"broken: {', '.join(broken)}"] if broken else []
    parts += [f"unknown: {', '.join(unknown)}"] if unknown else []
    return "; ".join(parts)


def _facts(
    session: Session,
    observed: Observed,
    question: TelemetryQuestion,
    app_insights: str | None,
    health_path: str,
    say: Callable[[str], None],
) -> Facts:
    client = SiteClient(session, observed.id)
    seen, pull, image, text, setting = run_concurrently(
        partial(look, session, client, observed, health_path),
        partial(_tried, partial(_pull, session, observed)),
        partial(_tried, partial(running_image, session, observed)),
        partial(_tried, client.container_log),
        partial(_setting, session, client, observed, app_insights),
    )
    recipe = image.recipe if isinstance(image, RunningImage) else None
    log: CollectorLog | OtelembedError = (
        collector_log(text, recipe.short if recipe else "") if isinstance(text, str) else text
    )
    telemetry = check_telemetry(
        *(session, observed, question, str(recipe) if recipe else None),
        app_insights=app_insights,
        former_host=former_host(session, observed),
        health_path=health_path,
        say=say,
    )
    collides = _tried(partial(check_startup_command, observed))
    return Facts(
        *(observed, seen, pull, image, log, setting, telemetry, session.clock.now(), health_path),
        collides=collides if isinstance(collides, Refused) else None,
    )


def _validated(
    session: Session, image: RunningImage | OtelembedError, binaries: BinaryCache
) -> Verdict | None:
    """What the collector itself says of the configuration in its image; None if not asked."""
    if not isinstance(image, RunningImage) or image.config in (None, default()):
        return None
    config = read([ConfigFile("", image.config or b"")])
    try:
        check_machine()
        binary = binaries.find(image.layers)
        if binary is None:
            return None
        deadline = Deadline(min(_VALIDATION, max(session.deadline.remaining, 0.1)))
        return validate_with(binary, image.collector or "", config, session.secrets, deadline)
    except OtelembedError:
        return None


def _tried(call: Callable[[], Result]) -> Result | OtelembedError:
    """The result, or the error in its place."""
    try:
        return call()
    except OtelembedError as error:
        return error


def _pull(session: Session, observed: Observed) -> str | None:
    if observed.container_properties.get("authType") == "UserCredentials":
        # A deploy refuses it, since it would lose the password; the site may pull all the same.
        return (
            f"the main container '{observed.container}' pulls with a user name and a password that "
            "Azure doesn't show: its right to pull was not checked"
        )
    return check_pull(session, observed, Reference.parse(observed.image).or_latest())


def _setting(
    session: Session, client: SiteClient, observed: Observed, app_insights: str | None
) -> SettingFacts:
    arm, value = Arm(session), observed.setting
    if value is None:
        return SettingFacts(False, MISSING, redeploy=())
    if is_reference(value):
        holds, note = reference_state(client, lambda: arm, observed, value)
        component = _tried(partial(recipient, arm, observed, value, app_insights))
        known = component if isinstance(component, Component) else None
        words, _, fix = f"the app setting {SETTING} is {note}".partition(". ")
        fix = fix if holds is False else ""
        return _with_endpoint(session, arm, observed, SettingFacts(holds, words, fix, known))
    match = match_setting(client, lambda: arm, observed, value, app_insights)
    if match.matches is False:
        return _mismatch(match)
    name = match.component.name if match.component else "unknown"
    words = f"the app setting {SETTING} belongs to component '{name}'"
    words = f"the app setting {SETTING}: {match.note}" if match.note else words
    found = SettingFacts(match.matches, words, component=match.component)
    return _with_endpoint(session, arm, observed, found, destination(value).endpoint)


def _mismatch(match: Match) -> SettingFacts:
    """A setting that doesn't hold."""
    unnamed = ("--app-insights", placeholder("name or id"))
    named = () if match.is_set_in_order else app_insights_option(match.component) or unnamed
    words = f"the app setting {SETTING} is {match.note}"
    return SettingFacts(False, words, component=match.component, redeploy=tuple(named))


def _with_endpoint(
    session: Session, arm: Arm, observed: Observed, found: SettingFacts, endpoint: str = ""
) -> SettingFacts:
    """With the answer of the endpoint, by default the component's, and the component's refusals."""
    component = found.component
    if not endpoint and component is not None:
        try:
            endpoint = destination(component.connection_string).endpoint
        except InvalidConfig:
            endpoint = ""
    refused = _tried(partial(refusals, arm, observed, component)) if component else ([], None, [])
    several, local_auth, _ = ([], None, []) if isinstance(refused, OtelembedError) else refused
    answer = _asked(session, endpoint) if endpoint else None
    return SettingFacts(
        *(found.holds, found.words, found.fix, component, endpoint, answer),
        tuple(several),
        local_auth,
    )


def _asked(session: Session, endpoint: str) -> Ping:
    """The answer to a GET, which carries no telemetry, where the exporter POSTs its own."""
    url = urlsplit(endpoint)
    return ping(session, url.netloc, f"{url.path.rstrip('/')}{TRACK}")


def report(found: Mapping[str, Any], console: Console) -> None:
    """Shows the links to a person: a mark, the evidence, and below it what repairs the link."""
    for one in found["links"]:
        state = {"ok": True, "broken": False, "unknown": None}[one["state"]]
        console.check(state, one["link"], one["evidence"], one["fix"] or "")
