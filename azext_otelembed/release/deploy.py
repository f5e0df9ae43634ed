"""`az otelembed deploy`: observe → plan → embed → record → apply → verify → roll back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.sites import SiteClient, SiteId
from azext_otelembed.errors import OtelembedError
from azext_otelembed.image.launcher import Launcher
from azext_otelembed.image.reference import same_image
from azext_otelembed.release.release_runner import (
    ROLLED_BACK,
    Ending,
    Image,
    Options,
    Runner,
    unfinished_of,
)
from azext_otelembed.release.swap import Production, Swapper, meant, production_of
from azext_otelembed.target.app_image import image_for_site
from azext_otelembed.target.finder import Target, TargetFinder
from azext_otelembed.target.from_source import AppSource, build_app
from azext_otelembed.verification.verdict_tracker import PACE, Pace
from azext_otelembed.verification.verify import Verdict, look
from azext_otelembed.webapp.observe import SETTING, Observed, check_kind, observe
from azext_otelembed.webapp.plan import Plan, make_plan
from azext_otelembed.webapp.preflight import check_grace, check_pull, check_running
from azext_otelembed.webapp.setting import Setting, resolve

if TYPE_CHECKING:
    from azext_otelembed.azure.session import Session
    from azext_otelembed.console import Console
    from azext_otelembed.registry.auth import Basic

NOTHING = Plan(None, None, ())
"""To change nothing."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the caller asks for; None where the site decides. `collector_config` holds bytes."""

    image: str | None
    collector_image: str
    collector_config: bytes | None
    app_insights: str | None
    connection_string: str | None = field(repr=False)
    registry: str | None
    tag: str | None
    timeout: int
    health_path: str
    dry_run: bool
    rollback: bool = True
    wait: bool = True
    app: AppSource | None = None
    secret_uri: str | None = None
    swap: bool = False
    unwrap: bool = False
    collector_login: Basic | None = None
    launcher: Launcher = field(default_factory=Launcher)
    shell_image: str | None = None
    pace: Pace = PACE


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result object, and the status that the command ends with."""

    result: dict[str, Any]
    exit_status: int


class BuildOnce:
    """Lets deploys that need the same image build it one after the other, so once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._gates: dict[str, threading.Lock] = {}
        self._built: set[str] = set()

    @contextmanager
    def turn(self, target: Target) -> Iterator[bool]:
        """Waits for its turn; yields whether the very image has been built meanwhile.

        While the collector isn't in the registry everybody waits for the one who brings it in.
        """
        key = target.image if target.embedded is not None else target.collector
        with self._lock:
            gate = self._gates.setdefault(key, threading.Lock())
        with gate:
            yield key in self._built
            if target.embedded is not None:
                self._built.add(key)


def deploy(
    session: Session,
    site: SiteId,
    wanted: Wanted,
    console: Console,
    build_once: BuildOnce | None = None,
) -> Outcome:
    """Makes `site` run its app with the collector embedded, and sees it come up.

    Raises the errors of `errors.py` for everything that stops it before the site was changed. A
    site that was changed and doesn't verify gives an Outcome with status 4 (rolled back) or 5.
    """
    finder = TargetFinder(
        session,
        wanted.collector_image,
        wanted.collector_config,
        wanted.tag,
        unwrap=wanted.unwrap,
        collector_login=wanted.collector_login,
        launcher=wanted.launcher,
        shell_image=wanted.shell_image,
    )
    client = SiteClient(session, site)
    for warning in finder.warnings:
        console.note(f"--collector-config: {warning}")

    with console.step("observe") as step:
        step.say(f"reading {site}")
        observed = observe(client)
        check_kind(observed)
        if wanted.wait and not wanted.dry_run:
            check_running(observed)
        setting = resolve(
            observed,
            wanted.connection_string,
            wanted.app_insights,
            wanted.secret_uri,
            lambda: Arm(session),
        )
        production = production_of(session, site, setting.value) if wanted.swap else None
        step.say(f"{site} runs {observed.image}")
    if hurry := check_grace(wanted.launcher, observed.settings):
        console.note(hurry)

    app, built = None, None
    if wanted.app is not None:
        found = image_for_site(session, observed, wanted.image, wanted.registry)
        app = wanted.app.name(found, wanted.image)
        if not wanted.dry_run:
            built = build_app(wanted.app, app, finder.open(app), console)

    with console.step("plan") as step:
        step.say("reading the app image and the collector")
        if app is None:
            target = finder.target(observed, wanted.image, wanted.registry, step)
            if production is not None and wanted.image is None:
                target = meant(session, finder, observed, production.observed, target)
        else:
            target = finder.target_for(app) if built else finder.unbuilt(app)
            target = replace(target, app_build=built)
        swapped_before = (
            production is not None
            and target.built
            and same_image(production.observed.image, target.image)
        )
        plan = NOTHING if swapped_before else make_plan(observed, target.image, setting)
        unseen = None
        if plan.image is not None:
            step.say(f"checking that {site} may pull the new image")
            unseen = check_pull(session, observed, target.base)
        step.say(_summary(plan, target))
    if unseen:
        console.note(unseen)

    if wanted.dry_run:
        if wanted.app is not None:
            console.tell(f"  build {wanted.app.source.directory} and push it as {app}")
        console.tell(_listed(plan, target))
        return Outcome(_result(observed, target, setting, plan, console, dry_run=True), 0)

    store = finder.store(observed)
    options = Options(wanted.timeout, wanted.health_path, wanted.rollback, wanted.wait, wanted.pace)
    swapper = None
    if production is not None:
        swapper = Swapper(session, site, production, store.client, options, console)
        if swapped_before:
            return _swapped_before(session, production, swapper, target, setting, wanted, console)
    known = store.read()
    store.check_free(target.digest, known, setting.value)
    if left := finder.store_left(observed):
        try:
            elsewhere = left.read()
        except OtelembedError as unseen:
            elsewhere = []
            console.note(f"Whether a release is under way there can't be seen: {unseen.message}")
        left.check_free(target.digest, elsewhere, setting.value)
    if plan.empty and target.built and unfinished_of(known) is None:
        outcome = _unchanged(session, client, observed, target, setting, wanted, console)
    else:
        if not target.built:
            with console.step("embed") as step, (build_once or BuildOnce()).turn(target) as made:
                target = (
                    replace(target, built=True)
                    if made
                    else finder.build(target, step, console.stands)
                )
                plan = make_plan(observed, target.image, setting)
                step.say(f"{target.image}")
            console.stands(f"{target.image} is in the registry; {site} is unchanged")
        runner = Runner(session, client, store, options, console)
        ending = runner.release(observed, plan, _image(target), known, setting.value)
        result = _result(observed, target, setting, plan, console, verdict=ending.verdict)
        outcome = _ended(result, ending, changed=not plan.empty)
    if swapper is None or outcome.exit_status != 0:
        return outcome
    swapped = swapper.swap(_image(target))
    return _ended({**outcome.result, "seconds": dict(console.seconds)}, swapped, changed=True)


def _swapped_before(
    session: Session,
    production: Production,
    swapper: Swapper,
    target: Target,
    setting: Setting,
    wanted: Wanted,
    console: Console,
) -> Outcome:
    """Production runs the target already: completes what a killed run left, else just looks."""
    observed = production.observed
    console.note(f"{observed.id} runs {target.image} already: it isn't swapped.")
    if swapper.pending() is None:
        return _unchanged(session, production.client, observed, target, setting, wanted, console)
    ending = swapper.swap(_image(target))
    result = _result(observed, target, setting, NOTHING, console, verdict=ending.verdict)
    return _ended(result, ending, changed=True)


def _image(target: Target) -> Image:
    return Image(target.image, target.digest or "", target.recipe, target.base)


def _ended(result: dict[str, Any], ending: Ending, *, changed: bool) -> Outcome:
    """The result with how the release ended; after a rollback the site is as it was before."""
    told = {
        "healthy": ending.verdict.healthy if ending.verdict else None,
        "reason": (ending.verdict.reason or None) if ending.verdict else None,
        "evidence": ending.verdict.evidence if ending.verdict else {},
        "release": {"id": ending.release.id, "state": ending.release.state},
        "changed": changed and ending.exit_status != ROLLED_BACK,
    }
    return Outcome({**result, **told}, ending.exit_status)


def _unchanged(
    session: Session,
    client: SiteClient,
    observed: Observed,
    target: Target,
    setting: Setting,
    wanted: Wanted,
    console: Console,
) -> Outcome:
    with console.step("verify") as step:
        step.say(f"asking {observed.host}")
        verdict = look(session, client, observed, wanted.health_path)
        step.say(verdict.evidence["http"] if verdict.healthy else verdict.reason)
    result = _result(observed, target, setting, NOTHING, console, verdict=verdict)
    if verdict.healthy:
        return Outcome(result, 0)
    console.alert(f"otelembed: {observed.id} runs what it should, but {verdict.reason}.")
    if verdict.log:
        console.alert("The container's last log lines:")
        for line in verdict.log:
            console.alert(f"  | {line}")
    console.alert(f"Go back with:\n  az otelembed rollback {observed.id.arguments}")
    return Outcome(result, 5)


def _summary(plan: Plan, target: Target) -> str:
    if plan.empty and target.built:
        return "nothing to change"
    todo = [] if target.built else ["embed the collector"]
    todo += [f"set the connection string of {plan.setting.source}"] if plan.setting else []
    todo += ["switch the image"] if plan.image else []
    return ", ".join(todo)


def _listed(plan: Plan, target: Target) -> str:
    lines = [] if target.built else [f"embed {target.collector} in {target.base}"]
    lines += [str(change) for change in plan.changes]
    return "\n".join(f"  {line}" for line in lines or ["nothing to change"])


def _result(
    observed: Observed,
    target: Target,
    setting: Setting,
    plan: Plan,
    console: Console,
    *,
    verdict: Verdict | None = None,
    dry_run: bool = False,
) -> dict[str, Any]:
    site = observed.id
    return {
        "site": site.name if not site.slot else f"{site.name}/{site.slot}",
        "resourceGroup": site.group,
        "host": observed.host,
        "image": {"name": target.image, "digest": target.digest},
        "base": {"name": target.base, "digest": target.base_digest or None},
        "collector": target.collector_result,
        "build": target.app_build,
        "changed": not dry_run and not plan.empty,
        "dryRun": dry_run,
        "changes": [change.as_result() for change in plan.changes],
        "setting": {"name": SETTING, "value": setting.masked, "source": setting.source},
        "healthy": verdict.healthy if verdict else None,
        "reason": verdict.reason or None if verdict else None,
        "evidence": verdict.evidence if verdict else {},
        "release": None,
        "seconds": dict(console.seconds),
    }
