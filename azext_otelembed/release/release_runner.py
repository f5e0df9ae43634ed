"""One release of a site: recorded, applied, verified, rolled back if need be, completed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from azext_otelembed.errors import OtelembedError
from azext_otelembed.records import record
from azext_otelembed.records import record_store as record_store
from azext_otelembed.records.record import Release
from azext_otelembed.records.record_store import RecordStore
from azext_otelembed.verification.verdict_tracker import PACE, Pace
from azext_otelembed.verification.verify import Verdict, newest_stamp, verify
from azext_otelembed.webapp.apply import apply, put_back
from azext_otelembed.webapp.observe import SETTING, Observed
from azext_otelembed.webapp.plan import Plan
from azext_otelembed.webapp.restore import Before, before, put_everything_back

if TYPE_CHECKING:
    from azext_otelembed.azure.session import Session
    from azext_otelembed.azure.sites import SiteClient
    from azext_otelembed.console import Console

ROLLED_BACK, LEFT = 4, 5
WAY_BACK = 120
"""Seconds that the old image gets at least to come up again, however short the timeout was."""


@dataclass(frozen=True, slots=True)
class Options:
    """`timeout` in seconds, for verifying. `rollback`: go back when it fails. `wait`: verify."""

    timeout: int
    health_path: str
    rollback: bool = True
    wait: bool = True
    pace: Pace = PACE


@dataclass(frozen=True, slots=True)
class Image:
    """The image to release, as linuxFxVersion spells it, and what the record tells of it."""

    name: str
    digest: str
    recipe: str = ""
    base: str = ""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a release ended: its record, what was seen, and the exit status that follows."""

    release: Release
    verdict: Verdict | None
    exit_status: int


class Runner:
    """Releases one site. Public methods raise the errors of `errors.py`."""

    def __init__(
        self,
        session: Session,
        client: SiteClient,
        store: RecordStore,
        options: Options,
        console: Console,
    ) -> None:
        self._session = session
        self._client = client
        self._store = store
        self._options = options
        self._console = console

    def release(
        self,
        observed: Observed,
        plan: Plan,
        image: Image,
        known: list[Release],
        setting: str | None = None,
    ) -> Ending:
        """Carries out `plan`. `known` are the site's records as read before.

        `setting` is the connection string that the site shall have in the end, which may be there
        already; None for releases that it is of no matter to. A pending record of this very image
        and setting is taken up: what a killed run began is finished. Raises before anything was
        changed when another release is under way.
        """
        unfinished = unfinished_of(known)
        earlier = before(observed, plan, unfinished)
        release = self._pending(observed, plan, image, earlier, unfinished, setting)
        site = observed.id
        self._console.stands(
            f"{site} is unchanged; its pending release may be recorded: "
            "the same command takes it up"
        )
        self._store.begin(release, known, setting)
        self._console.stands(f"{site} is unchanged; its pending release {release.id} is recorded")
        self._apply(observed, plan, release, taken_up=release.id in {r.id for r in known})
        if not self._options.wait:
            return Ending(release, None, 0)
        written = plan.setting.value if plan.setting else None
        return self._finish(observed, release, earlier, written)

    def resume(self, observed: Observed, release: Release, earlier: Before) -> Ending:
        """Verifies what another process has applied, and completes its pending release."""
        release = self.renewed(release, self._options.timeout)
        return self._finish(observed, release, earlier, None)

    def _finish(
        self, observed: Observed, release: Release, earlier: Before, written: str | None
    ) -> Ending:
        """Verifies a pending release, rolls it back if it fails, and completes its record.

        `written` is the value of the setting that was written, where this process did it.
        """
        with self._console.step("verify") as step:
            verdict = self.verdict(
                observed, release.image, release.before_change, step.say, written
            )
            step.say(verdict.evidence["http"] if verdict.healthy else verdict.reason)
        if verdict.healthy:
            done = self.completed(release, record.SUCCEEDED)
            return Ending(done, verdict, 0)
        self.tell(observed, verdict)
        if not self._options.rollback:
            done = self.completed(release, record.FAILED, verdict.reason)
            self._tell_way_back(observed, release, earlier)
            return Ending(done, verdict, LEFT)
        return self._roll_back(observed, release, earlier, verdict, written)

    def renewed(self, release: Release, timeout: float) -> Release:
        """The record with more time; where that can't be written, with what it has."""
        try:
            return self._store.renew(release, timeout)
        except OtelembedError as failed:
            self._console.note(f"The release's record can't be renewed: {failed.message}")
            return release

    def completed(self, release: Release, state: str, reason: str = "") -> Release:
        """The completed record. How the site is counts more than whether that can be written."""
        try:
            return self._store.end(release, state, reason)
        except OtelembedError as failed:
            self._console.note(
                f"The release's record stays pending: {failed.message} The same command, or "
                "`az otelembed wait`, completes it."
            )
            return release

    def _pending(
        self,
        observed: Observed,
        plan: Plan,
        image: Image,
        earlier: Before,
        unfinished: Release | None,
        setting: str | None,
    ) -> Release:
        timeout = self._options.timeout
        if unfinished is not None and unfinished.wants(image.digest, setting):
            return record_store.taken_up(unfinished, timeout)
        if unfinished is not None and not self._store.is_under_way(unfinished):
            self._store.end(unfinished, record.FAILED, "never completed")
        return record_store.new_release(
            self._store.site,
            image=image.name,
            digest=image.digest,
            previous_image=earlier.image,
            setting_was_there=earlier.setting is not None,
            setting_changed=earlier.restores_setting,
            recipe=image.recipe,
            base=image.base,
            timeout=timeout,
            setting=setting,
            setting_removed=plan.removes_setting,
            log_stamp=newest_stamp(self._client),
        )

    def _apply(self, observed: Observed, plan: Plan, release: Release, *, taken_up: bool) -> None:
        site = observed.id
        with self._console.step("apply") as step:
            step.say(" and ".join(change.what for change in plan.changes) or "nothing to change")
            said: list[str] = []

            def standing(state: str) -> None:
                said.append(state)
                self._console.stands(state)

            try:
                notes = apply(self._client, observed, plan, standing)
            except OtelembedError as error:
                # Said before each write: while nothing was, what the site has is somebody else's.
                self._undo(observed, plan, release, error, wrote=bool(said), taken_up=taken_up)
                raise
            for note in notes:
                self._console.note(note)
            self._console.stands(
                f"{site} was changed and not verified yet; run the same command again to verify "
                f"it, or put the old image back with `{put_back(observed, release.previous_image)}`"
            )

    def _undo(
        self,
        observed: Observed,
        plan: Plan,
        release: Release,
        error: OtelembedError,
        *,
        wrote: bool,
        taken_up: bool,
    ) -> None:
        """Takes back what a release wrote that couldn't be applied, so that it blocks nobody.

        Where that fails too, or where a killed run had begun before, its record stays pending: the
        same command goes on from there.
        """
        writes = plan.setting is not None or plan.removes_setting
        setting = observed.settings.get(SETTING)
        earlier = Before(observed.image, setting, restores_setting=writes)
        written = plan.setting.value if plan.setting else None
        image = str(plan.image or observed.image)
        try:
            if wrote:
                notes = put_everything_back(
                    self._client, observed, earlier, image, written, self._console.stands
                )
                for note in notes:
                    self._console.note(note)
            if not taken_up:
                self._console.stands(f"{observed.id} is as it was before")
                reason = f"{record.NOT_APPLIED}: {error.message}"
                self._store.end(release, record.FAILED, reason)
        except OtelembedError as failed:
            self._console.note(f"The release's record stays pending: {failed.message}")

    def _roll_back(
        self,
        observed: Observed,
        release: Release,
        earlier: Before,
        failed: Verdict,
        written: str | None,
    ) -> Ending:
        site = observed.id
        patience = max(self._options.timeout, WAY_BACK)
        release = self.renewed(release, patience)
        with self._console.step("rollback") as step:
            step.say(f"putting {earlier.image} back")
            after = newest_stamp(self._client)
            try:
                notes = put_everything_back(
                    self._client, observed, earlier, release.image, written, self._console.stands
                )
            except OtelembedError as refused:
                step.say(f"failed: {refused.message}")
                return self._stuck(observed, release, earlier, failed, refused)
            for note in notes:
                self._console.note(note)
            verdict = self.verdict(observed, earlier.image, after, step.say, written, patience)
            step.say(
                f"{earlier.image} runs again" if verdict.healthy else f"failed: {verdict.reason}"
            )
        if verdict.healthy:
            done = self.completed(release, record.ROLLED_BACK, failed.reason)
            self._console.alert(f"otelembed: {site} was rolled back to {earlier.image}.")
            return Ending(done, failed, ROLLED_BACK)
        reason = f"{failed.reason}; rolled back, but then: {verdict.reason}"
        done = self.completed(release, record.FAILED, reason)
        self._console.alert(
            f"otelembed: {site} was rolled back to {earlier.image}, but that doesn't come up "
            f"either: {verdict.reason}."
        )
        self.tell(observed, verdict)
        return Ending(done, failed, LEFT)

    def _stuck(
        self,
        observed: Observed,
        release: Release,
        earlier: Before,
        failed: Verdict,
        refused: OtelembedError,
    ) -> Ending:
        """What can't be rolled back is left, with its record pending: a rerun tries it again."""
        self._console.alert(
            f"otelembed: {observed.id} can't be rolled back: {refused.message} Run the same "
            "command again, or do it by hand."
        )
        self._tell_way_back(observed, release, earlier)
        return Ending(release, failed, LEFT)

    def verdict(
        self,
        observed: Observed,
        image: str,
        after: str,
        say: Callable[[str], None],
        written: str | None,
        timeout: int | None = None,
    ) -> Verdict:
        """Whether the site comes up with `image`; `after` and `written` are those of `verify`."""
        return verify(
            self._session,
            self._client,
            observed,
            image,
            after=after,
            health_path=self._options.health_path,
            timeout=timeout or self._options.timeout,
            say=say,
            pace=self._options.pace,
            written=written,
        )

    def tell(self, observed: Observed, verdict: Verdict) -> None:
        """Says on stderr what failed, and what the container said last."""
        alert = self._console.alert
        alert(f"otelembed: {observed.id} doesn't come up: {verdict.reason}.")
        for what, seen in verdict.evidence.items():
            alert(f"  {what}: {seen}")
        if verdict.log:
            alert("The container's last log lines:")
            for line in verdict.log:
                alert(f"  | {line}")

    def _tell_way_back(self, observed: Observed, release: Release, earlier: Before) -> None:
        site = observed.id
        alert = self._console.alert
        alert(f"Put the previous image back with:\n  {put_back(observed, earlier.image)}")
        if release.setting_changed and earlier.setting is None:
            alert(
                f"Remove the new setting with:\n  az webapp config appsettings delete "
                f"{site.arguments} --setting-names {SETTING}"
            )


def unfinished_of(known: list[Release]) -> Release | None:
    """The site's newest release, if it is still pending. Those that withdrew never were any."""
    newest = next((one for one in known if one.state != record.WITHDRAWN), None)
    return newest if newest is not None and newest.state == record.PENDING else None
