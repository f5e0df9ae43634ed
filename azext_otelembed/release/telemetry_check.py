"""Whether the telemetry of a site's running release arrives: for `status`, `deploy` and `wait`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.session import Session
from azext_otelembed.collector.connection_string import is_reference
from azext_otelembed.errors import OtelembedError, Refused
from azext_otelembed.release.release_context import ReleaseContext, TelemetryWait, health_path_words
from azext_otelembed.target.running_image import running_image
from azext_otelembed.telemetry.arrival import Arrival, Seen, await_arrival
from azext_otelembed.telemetry.arrived import LATENCY, NO_ROWS, Sender, ask
from azext_otelembed.telemetry.recipient import NAME_IT, recipient
from azext_otelembed.verification.site_answer import ping
from azext_otelembed.verification.verify import Verdict
from azext_otelembed.webapp.observe import SETTING, Observed

NOT_CHECKED: dict[str, Any] = {
    "checked": False,
    "seen": None,
    "component": None,
    "summary": "not checked",
    "reason": None,
    **NO_ROWS,
}
"""The field `telemetry` of a result if nothing was asked."""
WINDOW = 900.0
"""Seconds before the question within which rows count, by default."""


@dataclass(frozen=True, slots=True)
class TelemetryQuestion:
    """What is asked: about rows of the last `window` seconds, for `seconds` at most.

    `latency` are the seconds after which missing rows are lost. With `only_named`, rows that name
    no release count only if they are newer than the question. See `await_arrival`.
    """

    seconds: float = 0.0
    window: float = WINDOW
    latency: float = LATENCY
    only_named: bool = False


@dataclass(frozen=True, slots=True)
class TelemetryCheck:
    """The answer, and the component that was asked (None if it isn't known)."""

    component: str | None
    arrival: Arrival

    @property
    def seen(self) -> bool | None:
        """Whether telemetry of the running release arrives; None if that is open."""
        return {Seen.YES: True, Seen.NO: False, Seen.OPEN: None}[self.arrival.seen]

    def is_newer_than(self, time: float) -> bool:
        """Whether rows were seen of the running release that are newer than `time` (epoch)."""
        arrived = self.arrival.arrived
        newest = arrived.evidence if arrived and self.seen else None
        return newest is not None and newest.timestamp() > time

    @property
    def names_release(self) -> bool:
        """Whether rows were seen that name the running release."""
        arrived = self.arrival.arrived
        return arrived is not None and arrived.released is not None

    @property
    def reason(self) -> str:
        """Why it isn't seen, and what to do; empty if it is."""
        advice = f". {self.arrival.advice}".rstrip(".") if self.arrival.advice else ""
        return self.arrival.missing.rstrip(".") + advice

    def as_result(self) -> dict[str, Any]:
        """The field `telemetry` of a command's result."""
        arrived = self.arrival.arrived
        return {
            "checked": True,
            "seen": self.seen,
            "component": self.component,
            "summary": self.arrival.words,
            "reason": self.reason or None,
            **(arrived.as_result() if arrived else NO_ROWS),
        }


def check_telemetry(
    session: Session,
    observed: Observed,
    question: TelemetryQuestion,
    recipe: str | None,
    *,
    app_insights: str | None = None,
    former_host: str = "",
    health_path: str = "/",
    image: str | None = None,
    say: Callable[[str], None] = lambda _words: None,
) -> TelemetryCheck:
    """Asks the component that `observed`'s connection string names for the rows of the site.

    `recipe` is that of the image that the site runs, None if it isn't known; `image` is that image,
    by default the one of `observed`. Raises no error of `errors.py`: what couldn't be asked is
    open, with the reason.
    """
    say("asking Application Insights")
    arm, sender = Arm(session), Sender.of(observed.id, observed.host, recipe, former_host)
    if not observed.setting:
        problem = f"the app setting {SETTING} is missing"
        return TelemetryCheck(None, Arrival(0.0, None, Seen.OPEN, problem))
    try:
        component = recipient(arm, observed, observed.setting, app_insights)
    except OtelembedError as unknown:
        problem, advice = unknown.message, unknown.recommendation or ""
        return TelemetryCheck(None, Arrival(0.0, None, Seen.OPEN, problem, advice))
    session.deadline.extend(question.seconds)
    config = cache(partial(_config_of, session, observed, image))
    arrival = await_arrival(
        # The rows of the last `window` seconds before the start of the wait, and those since.
        partial(ask, session, component, sender, question.window + question.seconds, config),
        partial(ping, session, observed.host, health_path),
        question.seconds,
        age=question.window,
        unnamed_age=0.0 if question.only_named else question.window,
        say=say,
        latency=question.latency,
    )
    if arrival.seen is Seen.NO and is_reference(observed.setting) and not app_insights:
        # The component is only the likely one.
        advice = f"{SETTING} is a reference, which doesn't tell the component. {NAME_IT}"
        arrival = replace(arrival, seen=Seen.OPEN, advice=advice)
    elif arrival.seen is Seen.OPEN and not arrival.problem:
        words = (*health_path_words(health_path), "--telemetry", "--wait", f"{LATENCY:.0f}")
        again = observed.id.command("otelembed status", *words)
        arrival = replace(arrival, advice=f"Ask again with `{again}`")
    elif arrival.seen is Seen.NO:
        doctor = observed.id.command("otelembed doctor", *health_path_words(health_path))
        arrival = replace(arrival, advice=f"`{doctor}` finds the broken link")
    return TelemetryCheck(component.name, arrival)


def _config_of(session: Session, observed: Observed, image: str | None) -> bytes | None:
    """The configuration of the collector in an image; None if it can't be read."""
    try:
        return running_image(session, observed, image).config
    except OtelembedError:
        return None


def check_may_ask(
    session: Session, observed: Observed, wait: TelemetryWait, value: str
) -> str | None:
    """Asks once before a site is changed, about the component of `value` (a connection string).

    Returns a note if that can't be asked. Raises `Refused` if the release would need the answer.
    """
    wanted = replace(observed, settings={**observed.settings, SETTING: value})
    question = TelemetryQuestion(window=60)
    check = check_telemetry(session, wanted, question, None, app_insights=wait.app_insights)
    if check.arrival.arrived is not None:
        return None
    if wait.required:
        problem = check.arrival.problem.rstrip(".")
        raise Refused(
            f"--require-telemetry: {problem}. {observed.id} is unchanged.",
            check.arrival.advice or None,
        )
    return f"--wait-for-telemetry: {check.reason}."


def verify_telemetry(
    context: ReleaseContext,
    observed: Observed,
    verdict: Verdict,
    recipe: str | None,
    *,
    age: float,
    is_new_image: bool,
    former_host: str = "",
    image: str | None = None,
) -> Verdict:
    """`verdict` with what is seen of the release's telemetry, as `--wait-for-telemetry` asks.

    Rows count that are at most `age` seconds older than this call. Telemetry of a new image shows
    that its container serves: then a release without other proof is up. Telemetry that is required
    and doesn't arrive is a failure. Where the log shows a dead collector, rows that are newer than
    this call show that it runs again.
    """
    wait, console = context.options.telemetry, context.console
    if wait is None or verdict.healthy is False:
        return verdict
    latency = 0.0 if wait.required else LATENCY
    # The container from before may have sent rows that name no release.
    age = 0.0 if verdict.without_collector else age
    question = TelemetryQuestion(wait.seconds, age, latency, only_named=True)
    with console.step("telemetry") as step:
        check = check_telemetry(
            *(context.session, _with_present_setting(context, observed), question, recipe),
            app_insights=wait.app_insights,
            former_host=former_host,
            health_path=context.options.health_path,
            image=image,
            say=step.say,
        )
        step.found(check.arrival.words, check.seen)
    evidence = {**verdict.evidence, "telemetry": context.session.secrets.brief(check.arrival.words)}
    if check.seen:
        serves = verdict.healthy or verdict.without_collector
        if serves or (is_new_image and check.names_release):
            return Verdict(True, "", evidence, verdict.log)
        return replace(verdict, evidence=evidence)
    if wait.required:
        dead = f"{verdict.reason}; " if verdict.without_collector else ""
        return Verdict(check.seen, f"{dead}{check.reason}", evidence, verdict.log)
    console.note(f"{observed.id}: {check.reason}.")
    return replace(verdict, evidence=evidence)


def _with_present_setting(context: ReleaseContext, observed: Observed) -> Observed:
    """The site with the app settings that it has now, if they can be read."""
    try:
        return replace(observed, settings=context.client.settings())
    except OtelembedError:
        return observed
