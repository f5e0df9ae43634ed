"""A release that sets the image of a site: recorded, applied, verified, completed."""

from __future__ import annotations

from dataclasses import dataclass, field

from azext_otelembed.azure.arm import Arm
from azext_otelembed.console import Step
from azext_otelembed.errors import OtelembedError, Refused
from azext_otelembed.image.reference import same_image
from azext_otelembed.records import record
from azext_otelembed.records.record import Release
from azext_otelembed.records.record_history import unfinished_release, unproven_release
from azext_otelembed.release.recorded_release import (
    ROLLBACK_TIMEOUT,
    RecordedRelease,
    Restored,
    new_release,
    resumable,
)
from azext_otelembed.release.release_context import ReleaseContext, ReleaseImage, ReleaseResult
from azext_otelembed.verification.verify import newest_stamp
from azext_otelembed.webapp.apply import apply, restore_command
from azext_otelembed.webapp.observe import SETTING, Observed
from azext_otelembed.webapp.plan import Plan
from azext_otelembed.webapp.restore import PreviousState, previous_state, restore


def release_image(
    context: ReleaseContext,
    observed: Observed,
    plan: Plan,
    image: ReleaseImage,
    known: list[Release],
    setting: str | None = None,
    earlier: Release | None = None,
) -> ReleaseResult:
    """Carries out `plan`. `known` are the site's records as read before.

    `setting` is the connection string that the site shall have in the end, which it may have
    already; None if the release sets none. `earlier` is the release on record that is completed;
    without it, that is a pending one of the same command, image and setting: this run finishes what
    a killed run began. If nothing is to be changed, an unproven release is verified again. Raises
    the errors of `errors.py`, before anything was changed if another release is in progress.
    """
    site, console = observed.id, context.console
    unproven = unproven_release(observed.image, known) if plan.empty else None
    on_record = earlier or unproven
    previous = previous_state(observed, plan, on_record or unfinished_release(known))
    release = (
        on_record
        or resumable(known, image, setting)
        or new_release(
            context,
            image,
            previous.image,
            setting_existed=previous.setting is not None,
            setting_changed=previous.restores_setting,
            setting=setting,
            setting_removed=plan.removes_setting,
        )
    )
    console.stands(
        f"{site} is unchanged; its pending release may be recorded: the same command resumes it"
    )
    begun = RecordedRelease.begin(context, release, known, setting)
    console.stands(
        f"{site} is unchanged; its pending release {release.id} is recorded: the same command "
        "resumes it"
    )
    if not _apply(context, observed, plan, begun) and not plan.empty:
        begun.count_starts_since(observed)
    if not context.options.wait:
        return ReleaseResult(begun.release, None, 0)
    written = plan.setting.value if plan.setting else None
    return begun.finish(observed, ImageUndo(context, observed, previous, written))


def _apply(context: ReleaseContext, observed: Observed, plan: Plan, begun: RecordedRelease) -> bool:
    """Carries out `plan`; returns whether anything was written."""
    console = context.console
    with console.step("apply") as step:
        step.say(" and ".join(change.what for change in plan.changes) or "nothing to change")
        states: list[str] = []

        def set_state(state: str) -> None:
            states.append(state)
            console.stands(state)

        try:
            notes = apply(
                *(context.client, Arm(context.session), observed, plan),
                set_state,
                begun.wait_command,
            )
        except OtelembedError as error:
            # A state is set before each write: without one, this process has changed nothing.
            _undo_changes(context, observed, plan, begun, error, wrote=bool(states))
            raise
        for note in notes:
            console.note(note)
        command = restore_command(observed, begun.release.previous_image)
        console.stands(
            f"{observed.id} was changed and not verified yet; verify it with "
            f"`{begun.wait_command}`, or restore the old image with `{command}`"
        )
    return bool(states)


def _undo_changes(
    context: ReleaseContext,
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
    setting = observed.settings.get(SETTING)
    previous = PreviousState(observed.image, setting, restores_setting=plan.changes_setting)
    written = plan.setting.value if plan.setting else None
    image = str(plan.image or observed.image)
    console = context.console
    context.session.deadline.extend(ROLLBACK_TIMEOUT)
    try:
        if wrote:
            wait = begun.wait_command
            _, notes = restore(
                context.client, observed, previous, image, written, console.stands, wait
            )
            for note in notes:
                console.note(note)
        if not begun.resumed:
            console.stands(f"{observed.id} is as it was before")
            reason = f"{record.NOT_APPLIED}: {error.message}"
            context.store.complete(begun.release, record.FAILED, reason)
    except OtelembedError as failed:
        console.note(f"The record of the release stays pending: {failed.message}")


@dataclass(frozen=True, slots=True)
class ImageUndo:
    """Rolls a release back by restoring the image and the setting that the site had before."""

    context: ReleaseContext
    observed: Observed
    previous: PreviousState
    written: str | None = field(default=None, repr=False)
    action: str = "rolled back"

    @property
    def image(self) -> str:
        """The image from before the release."""
        return self.previous.image

    def restore(self, release: Release, step: Step) -> Restored:
        """Restores image and setting where the release's own are still there."""
        client, stands = self.context.client, self.context.console.stands
        log_since = newest_stamp(client)
        image, written = release.image, self.written
        wait = self.context.command("wait")
        is_restored, notes = restore(
            client, self.observed, self.previous, image, written, stands, wait
        )
        if not is_restored:
            raise Refused(" ".join(notes))
        writes_image = not same_image(image, self.image)
        both = writes_image and self.previous.restores_setting
        return Restored(self.observed, log_since, notes, starts_twice=both)

    def instructions(self, release: Release) -> list[str]:
        """The commands that restore image and setting."""
        command = restore_command(self.observed, self.image)
        told = ["Restore the previous image with:", f"  {command}"]
        if release.setting_changed and self.previous.setting is None:
            words = ("webapp config appsettings delete", "--setting-names", SETTING)
            told += ["Remove the new setting with:", f"  {self.observed.id.command(*words)}"]
        return told
