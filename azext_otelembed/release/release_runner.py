"""A release that sets the image of a site: recorded, applied, verified, completed."""

from __future__ import annotations

from dataclasses import dataclass, field

from azext_otelembed.console import Step
from azext_otelembed.errors import OtelembedError
from azext_otelembed.records import record
from azext_otelembed.records.record import Release
from azext_otelembed.records.record_history import unfinished_release
from azext_otelembed.release.recorded_release import (
    RecordedRelease,
    ReleaseContext,
    ReleaseImage,
    ReleaseResult,
    Restored,
    new_release,
    resumable,
)
from azext_otelembed.verification.verify import newest_stamp
from azext_otelembed.webapp.apply import apply, restore_command
from azext_otelembed.webapp.observe import SETTING, Observed
from azext_otelembed.webapp.plan import Plan
from azext_otelembed.webapp.restore import PreviousState, previous_state, restore


class ReleaseRunner:
    """Releases one site by setting its image. Public methods raise the errors of `errors.py`."""

    def __init__(self, context: ReleaseContext) -> None:
        self._context = context
        self._console = context.console

    def release(
        self,
        observed: Observed,
        plan: Plan,
        image: ReleaseImage,
        known: list[Release],
        setting: str | None = None,
    ) -> ReleaseResult:
        """Carries out `plan`. `known` are the site's records as read before.

        `setting` is the connection string that the site shall have in the end, which it may have
        already; None if the release sets none. A pending record of the same image and setting is
        resumed: this run finishes what a killed run began. Raises before anything was changed if
        another release is in progress.
        """
        site = observed.id
        previous = previous_state(observed, plan, unfinished_release(known))
        release = resumable(known, image.digest, setting) or new_release(
            self._context,
            image,
            previous.image,
            setting_existed=previous.setting is not None,
            setting_changed=previous.restores_setting,
            setting=setting,
            setting_removed=plan.removes_setting,
        )
        self._console.stands(
            f"{site} is unchanged; its pending release may be recorded: the same command resumes it"
        )
        begun = RecordedRelease.begin(self._context, release, known, setting)
        self._console.stands(f"{site} is unchanged; its pending release {release.id} is recorded")
        self._apply(observed, plan, begun)
        if not self._context.options.wait:
            return ReleaseResult(begun.release, None, 0)
        written = plan.setting.value if plan.setting else None
        undo = ImageUndo(self._context, observed, previous, written)
        return begun.finish(observed, undo, written)

    def resume(
        self, observed: Observed, release: Release, previous: PreviousState
    ) -> ReleaseResult:
        """Verifies what another process has applied, and completes its pending release."""
        undo = ImageUndo(self._context, observed, previous, None)
        return RecordedRelease(self._context, release).finish(observed, undo)

    def _apply(self, observed: Observed, plan: Plan, begun: RecordedRelease) -> None:
        site = observed.id
        with self._console.step("apply") as step:
            step.say(" and ".join(change.what for change in plan.changes) or "nothing to change")
            states: list[str] = []

            def set_state(state: str) -> None:
                states.append(state)
                self._console.stands(state)

            try:
                notes = apply(self._context.client, observed, plan, set_state)
            except OtelembedError as error:
                # A state is set before each write: without one, this process has changed nothing.
                self._undo_changes(observed, plan, begun, error, wrote=bool(states))
                raise
            for note in notes:
                self._console.note(note)
            command = restore_command(observed, begun.release.previous_image)
            self._console.stands(
                f"{site} was changed and not verified yet; run the same command again to verify "
                f"it, or restore the old image with `{command}`"
            )

    def _undo_changes(
        self,
        observed: Observed,
        plan: Plan,
        begun: RecordedRelease,
        error: OtelembedError,
        *,
        wrote: bool,
    ) -> None:
        """Undoes a release that could not be applied, so that it doesn't block other releases.

        If that fails too, or if a killed run had begun it, its record stays pending: the same
        command resumes it.
        """
        previous = PreviousState(
            observed.image,
            observed.settings.get(SETTING),
            restores_setting=plan.setting is not None or plan.removes_setting,
        )
        written = plan.setting.value if plan.setting else None
        image = str(plan.image or observed.image)
        client, stands = self._context.client, self._console.stands
        try:
            if wrote:
                for note in restore(client, observed, previous, image, written, stands):
                    self._console.note(note)
            if not begun.resumed:
                stands(f"{observed.id} is as it was before")
                reason = f"{record.NOT_APPLIED}: {error.message}"
                self._context.store.complete(begun.release, record.FAILED, reason)
        except OtelembedError as failed:
            self._console.note(f"The record of the release stays pending: {failed.message}")


@dataclass(frozen=True, slots=True)
class ImageUndo:
    """Rolls a release back by restoring the image and the setting that the site had before."""

    context: ReleaseContext
    observed: Observed
    previous: PreviousState
    written: str | None = field(repr=False)
    action: str = "rolled back"

    @property
    def image(self) -> str:
        """The image from before the release."""
        return self.previous.image

    def restore(self, release: Release, step: Step) -> Restored:
        """Restores image and setting where the release's own are still there."""
        client = self.context.client
        log_since = newest_stamp(client)
        stands = self.context.console.stands
        image, written = release.image, self.written
        notes = restore(client, self.observed, self.previous, image, written, stands)
        return Restored(self.observed, log_since, notes)

    def instructions(self, release: Release) -> list[str]:
        """The commands that restore image and setting."""
        site = self.observed.id
        told = [f"Restore the previous image with:\n  {restore_command(self.observed, self.image)}"]
        if release.setting_changed and self.previous.setting is None:
            told.append(
                "Remove the new setting with:\n  az webapp config appsettings delete "
                f"{site.arguments} --setting-names {SETTING}"
            )
        return told
