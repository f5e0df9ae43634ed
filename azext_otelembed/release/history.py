"""`history`, `rollback`, `remove` and `wait`: what follows from a site's records."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from azext_otelembed.azure.sites import SiteClient, SiteId
from azext_otelembed.collector.connection_string import mask
from azext_otelembed.embedding.base_images import load_base
from azext_otelembed.errors import InvalidInput, NotFound, Refused
from azext_otelembed.image.dockerfile_template import by_dockerfile
from azext_otelembed.image.provenance import read_provenance
from azext_otelembed.image.reference import Reference, same_image
from azext_otelembed.records import record
from azext_otelembed.records.record import Release
from azext_otelembed.records.record_history import before_this, is_ours
from azext_otelembed.release.release_runner import (
    ROLLED_BACK,
    Ending,
    Image,
    Options,
    Runner,
    unfinished_of,
)
from azext_otelembed.target.app_registry import AppRegistry
from azext_otelembed.webapp.observe import SETTING, Observed, check_kind, observe
from azext_otelembed.webapp.plan import Change, Plan
from azext_otelembed.webapp.preflight import check_running
from azext_otelembed.webapp.restore import Before

if TYPE_CHECKING:
    from azext_otelembed.azure.session import Session
    from azext_otelembed.console import Console
    from azext_otelembed.records.record_store import RecordStore


@dataclass(frozen=True, slots=True)
class Site:
    """A site as observed, with its records and the tools to release it."""

    client: SiteClient
    observed: Observed
    registry: AppRegistry
    store: RecordStore
    known: list[Release]


@dataclass(frozen=True, slots=True)
class Way:
    """Where a rollback or a removal leads: shown before it is confirmed."""

    site: Site
    plan: Plan
    image: Image

    @property
    def question(self) -> str:
        """What is asked before anything changes."""
        changes = "; ".join(str(change) for change in self.plan.changes)
        return f"{self.site.observed.id}: {changes}. Go on?"


def open_site(session: Session, site: SiteId, console: Console) -> Site:
    """Reads a site and its records."""
    client = SiteClient(session, site)
    registry = AppRegistry(session)
    with console.step("observe") as step:
        step.say(f"reading {site} and its records")
        observed = observe(client)
        check_kind(observed)
        store = registry.records(observed)
        known = store.read()
        step.say(f"{site} runs {observed.image}; releases on record: {len(known)}")
    return Site(client, observed, registry, store, known)


def history(site: Site) -> list[dict[str, Any]]:
    """All releases on record, newest first; `current` marks the one that runs."""
    current = next(
        (
            release.id
            for release in site.known
            if release.state == record.SUCCEEDED and same_image(release.image, site.observed.image)
        ),
        None,
    )
    return [
        {"number": number, "current": release.id == current, **release.as_result()}
        for number, release in enumerate(site.known)
    ]


def way_back(site: Site, to: str | None) -> Way:
    """The way to an earlier image: the one that came up before this, or the one that `to` names.

    `to` is a number of `history`, or an image's tag. Raises `NotFound` where there is none.
    """
    check_running(site.observed)
    site.store.check_free(None, site.known)
    image = _earlier_image(site, to)
    changes = (Change("image", site.observed.image, image),)
    return Way(site, Plan(None, image, changes), _image(site, image))


def way_out(site: Site, *, keep_setting: bool) -> Way:
    """The way to the base image, and without the setting if a release of ours has set it."""
    check_running(site.observed)
    site.store.check_free(None, site.known)
    observed = site.observed
    running = Reference.parse(observed.image).or_latest()
    base = load_base(site.registry.open(running), running)
    if by_dockerfile(base.config):
        raise Refused(
            f"{observed.image} got its collector from its own Dockerfile.",
            "Take it out there, and release the image that is built then.",
        )
    found = read_provenance(base.config)
    if found is None:
        raise Refused(
            f"{observed.id} runs {observed.image}, which holds no collector of ours: there is "
            "nothing to remove.",
            f"See `az otelembed status {observed.id.arguments}`.",
        )
    image = _name(replace(found.base, registry=running.registry))
    changes = [Change("image", observed.image, image)]
    setting = observed.setting
    removes = not keep_setting and setting is not None and is_ours(setting, site.known)
    if removes:
        before = mask(setting or "")
        changes.append(Change(f"app setting {SETTING}", before, "(removed)"))
    plan = Plan(None, image, tuple(changes), removes_setting=removes)
    return Way(site, plan, _image(site, image))


def go(session: Session, way: Way, options: Options, console: Console) -> tuple[Any, int]:
    """Releases what a `Way` leads to: recorded, applied, verified, rolled back if it fails."""
    site = way.site
    runner = Runner(session, site.client, site.store, options, console)
    ending = runner.release(site.observed, way.plan, way.image, site.known)
    return _result(site.observed, way.plan, ending, console), ending.exit_status


def wait(session: Session, site: Site, options: Options, console: Console) -> tuple[Any, int]:
    """Verifies the pending release of a site, rolls it back if it fails, and completes it.

    Raises `NotFound` when nothing is pending.
    """
    pending = unfinished_of(site.known)
    if pending is None:
        raise NotFound(
            f"{site.observed.id} has no pending release.",
            f"See `az otelembed history {site.observed.id.arguments}`.",
        )
    check_running(site.observed)
    added = pending.setting_changed and not pending.setting_was_there
    earlier = Before(pending.previous_image, None, restores_setting=added)
    runner = Runner(session, site.client, site.store, options, console)
    ending = runner.resume(site.observed, pending, earlier)
    plan = Plan(None, None, (Change("image", pending.previous_image, pending.image),))
    return _result(site.observed, plan, ending, console), ending.exit_status


def _earlier_image(site: Site, to: str | None) -> str:
    observed, known = site.observed, site.known
    here = f"See `az otelembed history {observed.id.arguments}`."
    if not known:
        raise NotFound(f"{observed.id} has no release on record.", here)
    if to is None:
        earlier = before_this(observed.image, known)
        if earlier is None:
            raise NotFound(
                f"Nothing on record came up before {observed.image}.",
                f"Name what to go to with --to: `az otelembed history {observed.id.arguments}`.",
            )
        return earlier
    if to.isdigit() and int(to) < len(known):
        image = known[int(to)].image
    else:
        tagged = [one.image for one in known if Reference.parse(one.image).tag == to]
        tagged += [
            one.previous_image for one in known if Reference.parse(one.previous_image).tag == to
        ]
        if not tagged:
            raise NotFound(f"--to '{to}' is neither a number nor a tag in the history.", here)
        image = tagged[0]
    if same_image(image, observed.image):
        raise InvalidInput(f"--to '{to}': {observed.id} runs {image} already.", here)
    return image


def _image(site: Site, name: str) -> Image:
    """The image to go to. Raises `NotFound` when the registry doesn't hold it any more."""
    reference = Reference.parse(name).or_latest()
    stored = site.registry.digest_of(reference)
    if stored is None:
        raise NotFound(
            f"{name} is not in its registry any more.",
            f"Choose another release: `az otelembed history {site.observed.id.arguments}`.",
        )
    return Image(name, str(stored))


def _name(reference: Reference) -> str:
    return str(replace(reference, digest=None) if reference.tag else reference)


def _result(observed: Observed, plan: Plan, ending: Ending, console: Console) -> dict[str, Any]:
    site = observed.id
    verdict = ending.verdict
    return {
        "site": site.name if not site.slot else f"{site.name}/{site.slot}",
        "resourceGroup": site.group,
        "image": {"name": ending.release.image, "digest": ending.release.digest},
        "changed": ending.exit_status != ROLLED_BACK,
        "changes": [change.as_result() for change in plan.changes],
        "healthy": verdict.healthy if verdict else None,
        "reason": (verdict.reason or None) if verdict else None,
        "evidence": verdict.evidence if verdict else {},
        "release": {"id": ending.release.id, "state": ending.release.state},
        "seconds": dict(console.seconds),
    }
