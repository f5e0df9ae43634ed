"""`az otelembed deploy`: observe → app image → plan → embed → release → swap."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.session import Session
from azext_otelembed.azure.sites import SiteClient, SiteId
from azext_otelembed.collector.config import (
    listening_ports,
    required_variables,
    signs_in,
    uses_azuremonitor,
)
from azext_otelembed.console import Console
from azext_otelembed.errors import OtelembedError, Refused
from azext_otelembed.image.image_config import ImageConfig
from azext_otelembed.image.reference import Reference, same_image
from azext_otelembed.parallel import run_concurrently
from azext_otelembed.records.record import Release
from azext_otelembed.records.record_history import awaits_verification, running_release
from azext_otelembed.records.release_lock import check_free
from azext_otelembed.release.deploy_result import (
    Outcome,
    deploy_result,
    ended,
    plan_lines,
    summary,
    with_swap,
)
from azext_otelembed.release.recorded_release import alert_log
from azext_otelembed.release.recorded_site import unreachable_note
from azext_otelembed.release.release_context import (
    EXIT_UNPROVEN,
    ReleaseContext,
    ReleaseImage,
    ReleaseOptions,
    health_path_words,
    see_history,
)
from azext_otelembed.release.release_runner import release_image
from azext_otelembed.release.swap import Production, read_production, swap, swap_target
from azext_otelembed.release.telemetry_check import WINDOW, check_may_ask, verify_telemetry
from azext_otelembed.target.app_image import image_for_site
from azext_otelembed.target.app_registry import AppRegistry
from azext_otelembed.target.embed_target import (
    EmbedOptions,
    Existing,
    Target,
    ToBuild,
    ToEmbed,
    ToPrepare,
)
from azext_otelembed.target.embedder import BuildOnce, embed_target, validate_config
from azext_otelembed.target.finder import TargetFinder
from azext_otelembed.target.from_source import AppSource, build_app
from azext_otelembed.verification.site_answer import Ping, ping
from azext_otelembed.verification.verify import log_or_empty, look, verdict_result, with_collector
from azext_otelembed.webapp.component_match import check_setting
from azext_otelembed.webapp.observe import SETTING, Observed, check_kind, observe
from azext_otelembed.webapp.plan import NO_CHANGE, Plan, make_plan
from azext_otelembed.webapp.preflight import (
    check_grace,
    check_init_command,
    check_pull,
    check_running,
    check_startup_command,
)
from azext_otelembed.webapp.setting import Setting, SettingOptions, resolve
from azext_otelembed.webapp.telemetry_notes import missing_variables, telemetry_notes


@dataclass(frozen=True, slots=True)
class DeployRequest:
    """A deploy as the caller asks for it.

    `image` and `registry` are as in `image_for_site`; `app` is the source to build the app image
    from. `swap`: the slot becomes production once it is verified.
    """

    embed: EmbedOptions
    release: ReleaseOptions
    setting: SettingOptions = field(default_factory=SettingOptions)
    image: str | None = None
    registry: str | None = None
    app: AppSource | None = None
    dry_run: bool = False
    swap: bool = False


@dataclass(frozen=True, slots=True)
class _Site:
    """The site as read at the start, and the setting that it is to have.

    `image` is the app image asked for, perhaps without a tag. `production` is there where the slot
    is to be swapped.
    """

    client: SiteClient
    observed: Observed
    setting: Setting
    image: Reference
    production: Production | None = None

    def is_swapped(self, target: Target) -> bool:
        """Whether production runs the target already."""
        return (
            self.production is not None
            and isinstance(target, Existing)
            and same_image(self.production.observed.image, target.image)
        )


def deploy(
    session: Session,
    site: SiteId,
    request: DeployRequest,
    console: Console,
    build_once: BuildOnce | None = None,
) -> Outcome:
    """Makes `site` run its app with the collector embedded, and verifies that it does.

    Raises the errors of `errors.py` for failures before the site is changed. A site that was
    changed and fails verification gives an Outcome with status 4 (rolled back) or 5 (not), an
    unproven one 6.
    """
    registry = AppRegistry(session)
    return _Deploy(session, site, request, console, build_once or BuildOnce(), registry).run()


@dataclass(slots=True)
class _Deploy:
    """One deploy: `run` is the flow, the other methods are its steps.

    `build` is the result of the app image's build where it is built from source. `answers` holds
    the answers of sites, by their hosts, to the request before their change. `problems` may keep
    telemetry from arriving.
    """

    session: Session
    id: SiteId
    request: DeployRequest
    console: Console
    build_once: BuildOnce
    registry: AppRegistry
    build: dict[str, Any] | None = None
    answers: dict[str, Ping] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def run(self) -> Outcome:
        for warning in self.request.embed.warnings:
            self.console.note(f"--collector-config: {warning}")
        if self.request.embed.validation:
            self.request.embed.validation.check_possible()
        site = self._observe()
        app = self._app_image(site)
        target, plan = self._plan(site, app)
        if self.request.dry_run:
            return self._dry_run(site, app, target, plan)
        if site.is_swapped(target) and isinstance(target, Existing):
            return self._already_swapped(site, target)
        known = self._check_free(site, target)
        waits = awaits_verification(site.observed.image, known)
        was_there = isinstance(target, Existing)
        target = self._embed(app, target)
        # After a wrong answer of the registry, embedding may give what runs already. A release of
        # that would change nothing, and could never be proven.
        if site.is_swapped(target):
            return self._already_swapped(site, target)
        is_same = make_plan(site.observed, target.image, site.setting).empty
        if is_same and not waits and (was_there or _is_released(target, known)):
            outcome = self._look(site, target)
        else:
            outcome = self._release(site, target, known)
        if site.production is None or outcome.exit_status != 0:
            if site.production and outcome.exit_status == EXIT_UNPROVEN:
                self.console.alert(
                    f"otelembed: {self.id} was not swapped with production: --accept-unproven "
                    "swaps an unproven slot."
                )
            return outcome
        return self._swap(site, target, outcome, outcome.result)

    def _observe(self) -> _Site:
        request, session = self.request, self.session
        client = SiteClient(session, self.id)
        with self.console.step("observe") as step:
            step.say(f"reading {self.id}")
            session.secrets.add_settings({SETTING: request.setting.connection_string or ""})
            observed = observe(client)
            check_kind(observed)
            if request.release.wait and not request.dry_run:
                check_running(observed)
            check_startup_command(observed)
            check_init_command(observed, request.embed.launcher)
            setting = resolve(observed, request.setting, lambda: Arm(session))
            production = None
            if request.swap:
                production = read_production(session, self.id)
            image = image_for_site(session, observed, request.image, request.registry)
            step.say(f"{self.id} runs {observed.image}")
        if warning := check_grace(request.embed.launcher, observed.settings):
            self.console.note(warning)
        return _Site(client, observed, setting, image, production)

    def _app_image(self, site: _Site) -> Reference:
        """The app image: with --source it is built and pushed, unless this is a dry run."""
        request = self.request
        if request.app is None:
            return site.image.or_latest()
        reference = request.app.name(site.image, running=request.image is None)
        if not request.dry_run:
            client = self.registry.open(reference)
            self.build = build_app(request.app, reference, client, self.console)
        return reference

    def _plan(self, site: _Site, app: Reference) -> tuple[Target, Plan]:
        """The target, and the changes that lead to it; checks that the site can pull the image."""
        with self.console.step("plan") as step:
            step.say("reading the app image and the collector")
            target = self._find_target(site, app)
            plan = NO_CHANGE
            if not site.is_swapped(target):
                plan = make_plan(site.observed, target.image, site.setting)
            checks: list[Callable[[], str | None]] = []
            if plan.switches_image:
                step.say(f"checking that {self.id} can pull the new image")
                checks.append(partial(check_pull, self.session, site.observed, target.base))
            if not plan.empty:
                checks.append(partial(self._ask, site.observed))
                checks.append(partial(self._check_setting, site, target))
            elif site.setting.component is not None and not site.is_swapped(target):
                checks.append(partial(self._check_setting, site, target, changes=False))
            if site.production and not site.is_swapped(target):
                checks.append(partial(self._ask, site.production.observed))
            if wait := self.request.release.telemetry:
                value = site.setting.value
                checks.append(partial(check_may_ask, self.session, site.observed, wait, value))
            notes = run_concurrently(*checks)
            step.say(summary(plan, target))
        read = target.source.config if isinstance(target, ToEmbed | ToPrepare) else None
        notes = (*notes, *self._config_notes(site.observed, target, read))
        for note in filter(None, notes):
            self.console.note(note)
        for problem in self.problems:
            self.console.alert(f"otelembed: telemetry may not arrive: {problem}")
        return target, plan

    def _config_notes(
        self, observed: Observed, target: Target, read: ImageConfig | None
    ) -> list[str]:
        """Notes on the site's settings, and on what of them the collector's configuration reads."""
        config = self.request.embed.config
        notes = telemetry_notes(observed, target.base, read, listening_ports(config))
        if isinstance(target, Existing) and not target.recipe:
            return notes  # its own Dockerfile put the configuration in
        return notes + missing_variables(observed, read, required_variables(config), SETTING)

    def _check_setting(self, site: _Site, target: Target, *, changes: bool = True) -> None:
        """Collects the problems of the setting. Raises `Refused` if its component takes nothing.

        Where nothing `changes`, such a component is a problem, too, and costs no request.
        """
        sends_by_key = uses_azuremonitor(self.request.embed.config)
        if isinstance(target, Existing) and not target.recipe:
            sends_by_key = None  # its own Dockerfile put the configuration in
        if sends_by_key is False:
            return
        arm = partial(Arm, self.session)
        try:
            self.problems += check_setting(
                site.client,
                arm,
                site.observed,
                site.setting,
                sends_by_key=sends_by_key,
                signs_in=signs_in(self.request.embed.config),
                reads_quota=changes,
            )
        except Refused as refused:
            if changes:
                raise
            self.problems.append(f"{refused.message} {refused.recommendation or ''}".rstrip())

    def _ask(self, observed: Observed) -> str | None:
        """Asks a site once before its change; a note if this machine can't reach it.

        A release that isn't verified asks nothing.
        """
        options, host = self.request.release, observed.host
        if not options.wait or host in self.answers:
            return None
        self.answers[host] = ping(self.session, host, options.health_path, patience=2)
        return unreachable_note(observed, self.answers[host])

    def _find_target(self, site: _Site, app: Reference) -> Target:
        finder = self._finder(app)
        if self.request.app is not None:
            return finder.find(app) if self.build else finder.unbuilt(app)
        named = self.request.image is not None
        observed = site.observed
        likely_base = named and not same_image(observed.image, app)
        target = finder.find(app, likely_base=likely_base)
        if site.production is None or named:
            return target
        production = site.production.observed
        known = self.registry.records(production).read()
        return swap_target(self.session, finder, known, observed, production, target)

    def _dry_run(self, site: _Site, app: Reference, target: Target, plan: Plan) -> Outcome:
        if self.request.app is not None:
            directory = self.request.app.source.directory
            self.console.tell(f"  build {directory} and push it as {app}")
        self.console.tell(*plan_lines(plan, target))
        result = self._result(site, target, plan)
        return Outcome({**result, "dryRun": True, "changed": False}, 0)

    def _check_free(self, site: _Site, target: Target) -> list[Release]:
        """The site's records. Raises `Refused` if another release of it is in progress."""
        digest = str(target.digest) if target.digest else None
        known = self.registry.records(site.observed).read()
        history = see_history(self.id)
        check_free(known, digest, site.setting.value, see_history=history)
        if left := self.registry.records_left(site.observed):
            try:
                elsewhere = left.read()
            except OtelembedError as unread:
                elsewhere = []
                self.console.note(
                    "The release records in the registry of the present image can't be read, so a "
                    f"release in progress there would go unnoticed: {unread.message}"
                )
            check_free(elsewhere, digest, site.setting.value, see_history=history)
        return known

    def _embed(self, app: Reference, target: Target) -> Existing:
        """The target, in the registry: embedded now, or by a deploy beside this one."""
        assert not isinstance(target, ToBuild)  # noqa: S101  # only a dry run doesn't build
        if isinstance(target, Existing):
            self._validate_existing(app, target)
            return target
        finder, stands = self._finder(app), self.console.stands
        deadline = self.session.deadline
        with self.console.step("embed") as step, self.build_once.turn(target, deadline) as pushed:
            if pushed and isinstance(target, ToEmbed):
                existing = target.existing
            else:
                existing = embed_target(self.session, finder, target, stands, step, self.console)
            step.say(f"{existing.image}")
        stands(
            f"{existing.image} is in the registry; {self.id} is unchanged: run the same command "
            "again to continue"
        )
        return existing

    def _validate_existing(self, app: Reference, target: Existing) -> None:
        """The image may have been embedded without a validation."""
        validation = self.request.embed.validation
        if validation is None or not target.recipe:
            return
        client, console = self.registry.open(app), self.console
        with console.step("validate") as step:
            call = partial(validate_config, self.session, client, validation, step, console)
            self.build_once.validate_once(client.host, call)

    def _release(self, site: _Site, target: Existing, known: list[Release]) -> Outcome:
        observed = site.observed
        plan = make_plan(observed, target.image, site.setting)
        context, setting = self._context(site.client, observed), site.setting.value
        ending = release_image(context, observed, plan, _image(target), known, setting)
        return ended(self._result(site, target, plan), ending)

    def _swap(
        self, site: _Site, target: Existing, outcome: Outcome, slot: dict[str, Any] | None
    ) -> Outcome:
        """Swaps; `slot` is the slot's own result, None if an earlier run released to it."""
        production = site.production
        assert production is not None  # noqa: S101  # the caller has checked it
        # A release of its own: an unproven slot, if that is accepted, has used up its time.
        self.began = time.monotonic()
        self.session.deadline.restart()
        context = self._context(production.client, production.observed, site.observed)
        ending = swap(context, self.id, production.observed, _image(target))
        seconds = dict(self.console.seconds)
        whole = ended({**outcome.result, "changed": True, "seconds": seconds}, ending)
        answer = self.answers.get(production.observed.host)
        return with_swap(whole, slot, production.observed, answer)

    def _already_swapped(self, site: _Site, target: Existing) -> Outcome:
        """Production runs the target: completes an interrupted swap's record, else verifies."""
        production = site.production
        assert production is not None  # noqa: S101  # `is_swapped`
        there = _Site(production.client, production.observed, site.setting, site.image)
        self.console.note(f"{there.observed.id} runs {target.image} already: it isn't swapped.")
        known = self.registry.records(there.observed).read()
        if not awaits_verification(there.observed.image, known):
            return with_swap(self._look(there, target), None, there.observed, None)
        outcome = Outcome(self._result(there, target, NO_CHANGE), 0)
        return self._swap(site, target, outcome, None)

    def _look(self, site: _Site, target: Existing) -> Outcome:
        """Nothing is to be changed: the site has to be healthy all the same."""
        observed = site.observed
        with self.console.step("verify") as step:
            step.say(f"asking {observed.host}")
            health_path = self.request.release.health_path
            verdict, text = run_concurrently(
                partial(look, self.session, site.client, observed, health_path),
                partial(log_or_empty, site.client),
            )
            verdict = with_collector(verdict, text, target.recipe, self.session)
            step.found(verdict.summary, verdict.healthy)
        if self.request.release.telemetry is not None:
            context = self._context(site.client, observed)
            verdict = verify_telemetry(
                context, observed, verdict, target.recipe, age=WINDOW, is_new_image=False
            )
        result = {**self._result(site, target, NO_CHANGE), **verdict_result(verdict)}
        status = self.request.release.status_of(verdict)
        if verdict.healthy:
            return Outcome(result, status)
        console = self.console
        message = f"{observed.id} runs the wanted image, but {verdict.reason}."
        if status == 0:
            console.note(message)
            return Outcome(result, status)
        health = health_path_words(health_path)
        console.alert(f"otelembed: {message}")
        alert_log(console, verdict)
        if verdict.without_collector:
            find = observed.id.command("otelembed doctor", *health)
            console.alert("Find the broken link with:", f"  {find}")
        elif verdict.healthy is None:
            check = observed.id.command("otelembed status", *health, "--check")
            console.alert("Check again with:", f"  {check}")
        else:
            back = observed.id.command("otelembed rollback", *health)
            console.alert("Go back with:", f"  {back}")
        return Outcome(result, status)

    def _finder(self, app: Reference) -> TargetFinder:
        return TargetFinder(self.registry.open(app), self.request.embed)

    def _context(self, client: SiteClient, observed: Observed, *others: Observed) -> ReleaseContext:
        """The context of a release of `observed`, which may get the settings of `others`."""
        options, store = self.request.release, self.registry.records(observed)
        timeout = options.seconds(observed, *others)
        # The plan hasn't asked a site on which nothing is to be changed.
        if note := self._ask(observed):
            self.console.note(note)
        answer = self.answers.get(observed.host)
        return ReleaseContext(
            self.session, client, store, options, self.console, timeout, self.began, answer
        )

    def _result(self, site: _Site, target: Target, plan: Plan) -> dict[str, Any]:
        build, setting = self.build, site.setting
        answer = self.answers.get(site.observed.host)
        result = deploy_result(site.observed, target, build, setting, plan, answer)
        seconds = dict(self.console.seconds)
        return {**result, "problems": list(self.problems), "seconds": seconds}


def _is_released(target: Existing, known: list[Release]) -> bool:
    """Whether the newest release of the target's image was of this very manifest, and succeeded."""
    newest = running_release(str(target.image), known)
    return newest is not None and newest.digest == str(target.digest) and newest.is_healthy


def _image(target: Existing) -> ReleaseImage:
    return ReleaseImage(str(target.image), str(target.digest), target.recipe, str(target.base))
