"""A site as observed, with its records: the start of the commands that work on releases."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from azext_otelembed.azure.session import Session
from azext_otelembed.azure.sites import SiteClient, SiteId
from azext_otelembed.console import Console
from azext_otelembed.image.reference import same_image
from azext_otelembed.parallel import run_concurrently
from azext_otelembed.records.record import SUCCEEDED, UNPROVEN, Release
from azext_otelembed.records.record_store import RecordStore
from azext_otelembed.release.release_context import (
    ReleaseContext,
    ReleaseOptions,
    ReleaseResult,
    see_history,
)
from azext_otelembed.target.app_registry import AppRegistry
from azext_otelembed.verification.site_answer import Ping, ping
from azext_otelembed.webapp.observe import Observed, check_kind, observe
from azext_otelembed.webapp.plan import Change


@dataclass(frozen=True, slots=True)
class RecordedSite:
    """A site with its records (`known`, newest first) and the means to release it.

    `answer` is the site's to the request before the change, None if it wasn't asked.
    """

    session: Session
    client: SiteClient
    observed: Observed
    registry: AppRegistry
    store: RecordStore
    known: list[Release]
    answer: Ping | None = None

    @property
    def see_history(self) -> str:
        """The recommendation to list the releases."""
        return see_history(self.observed.id)

    def history(self) -> list[dict[str, Any]]:
        """All releases on record, newest first; `current` marks the one that runs."""
        runs, states = self.observed.image, (SUCCEEDED, UNPROVEN)
        ran = (one.id for one in self.known if one.state in states and same_image(one.image, runs))
        current = next(ran, None)
        return [
            {"number": number, "current": release.id == current, **release.as_result()}
            for number, release in enumerate(self.known)
        ]

    def context(self, options: ReleaseOptions, console: Console) -> ReleaseContext:
        """The context of a release of the site."""
        timeout = options.seconds(self.observed)
        return ReleaseContext(
            self.session,
            self.client,
            self.store,
            options,
            console,
            timeout,
            time.monotonic(),
            self.answer,
        )

    def result(
        self, changes: Sequence[Change], ended: ReleaseResult, console: Console
    ) -> dict[str, Any]:
        """The result object of a command that released the site."""
        release = ended.release
        return {
            "site": self.observed.id.label,
            "resourceGroup": self.observed.id.group,
            "image": {"name": release.image, "digest": release.digest},
            "from": {"id": release.goes_back_from or None, "image": release.previous_image},
            "changed": bool(changes) and not ended.rolled_back,
            "changes": [change.as_result() for change in changes],
            **ended.as_result(),
            "seconds": dict(console.seconds),
        }


def unreachable_note(observed: Observed, answer: Ping | None) -> str | None:
    """What a verdict will rest on if this machine can't reach the site; None if it can."""
    if answer is None or not answer.unreachable:
        return None
    return (
        f"This machine can't reach {observed.id} ({answer}): the verdict will rest on the "
        "container log and the instances."
    )


def open_site(
    session: Session, site: SiteId, console: Console, health_path: str | None = None
) -> RecordedSite:
    """Reads a site and its records; asks the site on `health_path` if it is to be released."""
    client = SiteClient(session, site)
    registry = AppRegistry(session)
    with console.step("observe") as step:
        step.say(f"reading {site} and its records")
        observed = observe(client)
        check_kind(observed)
        store = registry.records(observed)
        known, answer = run_concurrently(
            store.read,
            lambda: ping(session, observed.host, health_path, 2) if health_path else None,
        )
        step.say(f"{site} runs {observed.image}; releases on record: {len(known)}")
    if note := unreachable_note(observed, answer):
        console.note(note)
    return RecordedSite(session, client, observed, registry, store, known, answer)
