"""`az otelembed deploy`: observe → app image → plan → embed → release → swap."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.session import Session
from azext_otelembed.azure.sites import SiteClient, SiteId
from azext_otelembed.console import Console
from azext_otelembed.errors import OtelembedError
from azext_otelembed.image.reference import Reference, same_image
from azext_otelembed.records.record import Release
from azext_otelembed.records.record_history import unfinished_release
from azext_otelembed.records.release_lock import check_free
from azext_otelembed.release.deploy_result import (
    Outcome,
    deploy_result,
    ended,
    plan_lines,
    summary,
)
from azext_otelembed.release.recorded_release import (
    ReleaseContext,
    ReleaseImage,
    ReleaseOptions,
    alert_log,
)
from azext_otelembed.release.release_runner import ReleaseRunner
from azext_otelembed.release.swap import Production, Swapper, read_production, swap_target
from azext_otelembed.target.app_image import image_for_site
from azext_otelembed.target.app_registry import AppRegistry
from azext_otelembed.target.build_once import BuildOnce
from azext_otelembed.target.embed_options import EmbedOptions
from azext_otelembed.target.embed_target import Existing, Target, ToBuild, ToEmbed
from azext_otelembed.target.embedder import Embedder
from azext_otelembed.target.finder import TargetFinder
from azext_otelembed.target.from_source import AppSource, build_app
from azext_otelembed.verification.verify import look, verdict_result
from azext_otelembed.webapp.observe import Observed, check_kind, observe
from azext_otelembed.webapp.plan import NO_CHANGE, Plan, make_plan
from azext_otelembed.webapp.preflight import check_grace, check_pull, check_running
from azext_otelembed.webapp.setting import Setting, SettingOptions, resolve


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


@dataclass(frozen=True, slots=True)
class _App:
    """The app image, and the result of its build where it was built from source."""

    reference: Reference
    build: dict[str, Any] | None = None


def deploy(
    session: Session,
    site: SiteId,
    request: DeployRequest,
    console: Console,
    build_once: BuildOnce | None = None,
) -> Outcome:
    """Makes `site` run its app with the collector embedded, and verifies that it does.

    Raises the errors of `errors.py` for failures before the site is changed. A site that was
    changed and fails verification gives an Outcome with status 4 (rolled back) or 5 (not).
    """
    return _Deploy(session, site, request, console, build_once or BuildOnce()).run()


class _Deploy:
    """One deploy: `run` is the flow, the other methods are its steps."""

    def __init__(
        self,
        session: Session,
        site: SiteId,
        request: DeployRequest,
        console: Console,
        build_once: BuildOnce,
    ) -> None:
        self._session = session
        self._id = site
        self._request = request
        self._console = console
        self._build_once = build_once
        self._registry = AppRegistry(session)

    def run(self) -> Outcome:
        for warning in self._request.embed.warnings:
            self._console.note(f"--collector-config: {warning}")
        site = self._observe()
        app = self._app_image(site)
        target, plan = self._plan(site, app)
        if self._request.dry_run:
            return self._dry_run(site, app, target, plan)
        if site.is_swapped(target) and isinstance(target, Existing):
            return self._already_swapped(site, app, target)
        known = self._check_free(site, target)
        if plan.empty and isinstance(target, Existing) and unfinished_release(known) is None:
            outcome = self._look(site, app, target)
        else:
            target = self._embed(app, target)
            outcome = self._release(site, app, target, known)
        if site.production is None or outcome.exit_status != 0:
            return outcome
        return self._swap(site, site.production, target, outcome)

    def _observe(self) -> _Site:
        request, session = self._request, self._session
        client = SiteClient(session, self._id)
        with self._console.step("observe") as step:
            step.say(f"reading {self._id}")
            observed = observe(client)
            check_kind(observed)
            if request.release.wait and not request.dry_run:
                check_running(observed)
            setting = resolve(observed, request.setting, lambda: Arm(session))
            production = None
            if request.swap:
                production = read_production(session, self._id)
            image = image_for_site(session, observed, request.image, request.registry)
            step.say(f"{self._id} runs {observed.image}")
        if warning := check_grace(request.embed.launcher, observed.settings):
            self._console.note(warning)
        return _Site(client, observed, setting, image, production)

    def _app_image(self, site: _Site) -> _App:
        """The app image: with --source it is built and pushed, unless this is a dry run."""
        request = self._request
        if request.app is None:
            return _App(site.image.or_latest())
        reference = request.app.name(site.image, running=request.image is None)
        if request.dry_run:
            return _App(reference)
        client = self._registry.open(reference)
        return _App(reference, build_app(request.app, reference, client, self._console))

    def _plan(self, site: _Site, app: _App) -> tuple[Target, Plan]:
        """The target, and the changes that lead to it; checks that the site can pull the image."""
        with self._console.step("plan") as step:
            step.say("reading the app image and the collector")
            target = self._find_target(site, app)
            plan = NO_CHANGE
            if not site.is_swapped(target):
                plan = make_plan(site.observed, target.image, site.setting)
            warning = None
            if plan.switches_image:
                step.say(f"checking that {self._id} can pull the new image")
                warning = check_pull(self._session, site.observed, target.base)
            step.say(summary(plan, target))
        if warning:
            self._console.note(warning)
        return target, plan

    def _find_target(self, site: _Site, app: _App) -> Target:
        finder = self._finder(app)
        if self._request.app is not None:
            return finder.find(app.reference) if app.build else finder.unbuilt(app.reference)
        named = self._request.image is not None
        observed = site.observed
        likely_base = named and not same_image(observed.image, app.reference)
        target = finder.find(app.reference, likely_base=likely_base)
        if site.production is None or named:
            return target
        production = site.production.observed
        known = self._registry.records(production).read()
        return swap_target(self._session, finder, known, observed, production, target)

    def _dry_run(self, site: _Site, app: _App, target: Target, plan: Plan) -> Outcome:
        if self._request.app is not None:
            directory = self._request.app.source.directory
            self._console.tell(f"  build {directory} and push it as {app.reference}")
        self._console.tell(plan_lines(plan, target))
        result = self._result(site, app, target, plan)
        return Outcome({**result, "dryRun": True, "changed": False}, 0)

    def _check_free(self, site: _Site, target: Target) -> list[Release]:
        """The site's records. Raises `Refused` if another release of it is in progress."""
        digest = str(target.digest) if target.digest else None
        known = self._registry.records(site.observed).read()
        check_free(known, digest, site.setting.value)
        if left := self._registry.records_left(site.observed):
            try:
                elsewhere = left.read()
            except OtelembedError as unread:
                elsewhere = []
                self._console.note(
                    "The release records in the registry of the present image can't be read, so a "
                    f"release in progress there would go unnoticed: {unread.message}"
                )
            check_free(elsewhere, digest, site.setting.value)
        return known

    def _embed(self, app: _App, target: Target) -> Existing:
        """The target, in the registry: embedded now, or by a deploy beside this one."""
        assert not isinstance(target, ToBuild)  # noqa: S101  # only a dry run doesn't build
        if isinstance(target, Existing):
            return target
        client = self._registry.open(app.reference)
        embedder = Embedder(
            self._session, client, self._finder(app), self._request.embed, self._console.stands
        )
        with self._console.step("embed") as step, self._build_once.turn(target) as pushed:
            if pushed and isinstance(target, ToEmbed):
                existing = target.existing
            else:
                existing = embedder.embed(target, step)
            step.say(f"{existing.image}")
        self._console.stands(f"{existing.image} is in the registry; {self._id} is unchanged")
        return existing

    def _release(self, site: _Site, app: _App, target: Existing, known: list[Release]) -> Outcome:
        observed = site.observed
        plan = make_plan(observed, target.image, site.setting)
        runner = ReleaseRunner(self._context(site.client, observed))
        ending = runner.release(observed, plan, _image(target), known, site.setting.value)
        return ended(self._result(site, app, target, plan), ending)

    def _swap(
        self, site: _Site, production: Production, target: Existing, outcome: Outcome
    ) -> Outcome:
        ending = self._swapper(production).swap(_image(target))
        seconds = dict(self._console.seconds)
        return ended({**outcome.result, "changed": True, "seconds": seconds}, ending)

    def _already_swapped(self, site: _Site, app: _App, target: Existing) -> Outcome:
        """Production runs the target: completes an interrupted swap's record, else verifies."""
        production = site.production
        assert production is not None  # noqa: S101  # `is_swapped`
        there = _Site(production.client, production.observed, site.setting, site.image)
        self._console.note(f"{there.observed.id} runs {target.image} already: it isn't swapped.")
        swapper = self._swapper(production)
        if not swapper.has_unfinished():
            return self._look(there, app, target)
        ending = swapper.swap(_image(target))
        result = self._result(there, app, target, NO_CHANGE)
        return ended({**result, "changed": True}, ending)

    def _look(self, site: _Site, app: _App, target: Existing) -> Outcome:
        """Nothing is to be changed: the site has to be healthy all the same."""
        observed = site.observed
        with self._console.step("verify") as step:
            step.say(f"asking {observed.host}")
            health_path = self._request.release.health_path
            verdict = look(self._session, site.client, observed, health_path)
            step.say(verdict.summary)
        result = {**self._result(site, app, target, NO_CHANGE), **verdict_result(verdict)}
        if verdict.healthy:
            return Outcome(result, 0)
        alert = self._console.alert
        alert(f"otelembed: {observed.id} runs the wanted image, but {verdict.reason}.")
        alert_log(self._console, verdict)
        alert(f"Go back with:\n  az otelembed rollback {observed.id.arguments}")
        return Outcome(result, 5)

    def _finder(self, app: _App) -> TargetFinder:
        return TargetFinder(self._registry.open(app.reference), self._request.embed)

    def _swapper(self, production: Production) -> Swapper:
        context = self._context(production.client, production.observed)
        return Swapper(context, self._id, production.observed)

    def _context(self, client: SiteClient, observed: Observed) -> ReleaseContext:
        store = self._registry.records(observed)
        return ReleaseContext(self._session, client, store, self._request.release, self._console)

    def _result(self, site: _Site, app: _App, target: Target, plan: Plan) -> dict[str, Any]:
        result = deploy_result(site.observed, target, app.build, site.setting, plan)
        return {**result, "seconds": dict(self._console.seconds)}


def _image(target: Existing) -> ReleaseImage:
    return ReleaseImage(str(target.image), str(target.digest), target.recipe, str(target.base))
