"""One release of a site, from its pending record to its completed one."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial
from typing import Protocol

from azext_otelembed.azure.sites import SiteClient
from azext_otelembed.console import Console, Step
from azext_otelembed.errors import OtelembedError, Refused
from azext_otelembed.image.reference import same_image
from azext_otelembed.records import record, release_lock
from azext_otelembed.records.record import Release, State
from azext_otelembed.records.record_history import newest_release, unfinished_release
from azext_otelembed.release.release_context import (
    EXIT_NOT_ROLLED_BACK,
    EXIT_ROLLED_BACK,
    ReleaseContext,
    ReleaseImage,
    ReleaseResult,
    see_history,
)
from azext_otelembed.release.telemetry_check import verify_telemetry
from azext_otelembed.verification.verify import (
    LONGEST_BLOCK,
    Verdict,
    newest_stamp,
    stamp_before,
    verify,
)
from azext_otelembed.webapp.observe import SETTING, Observed, observe_host

ROLLBACK_TIMEOUT = 120
"""Seconds that the old image has at least to start again, however short the timeout was."""
SPARE = 60.0
"""Seconds by which a pending record outlasts the next wait, at least."""


@dataclass(frozen=True, slots=True)
class Restored:
    """A site after its old image was restored. Log lines newer than `log_since` count.

    `starts_twice`: two writes restored it, and each of them starts it.
    """

    observed: Observed
    log_since: str
    notes: Sequence[str] = ()
    starts_twice: bool = False


class Undo(Protocol):
    """How a release is rolled back."""

    @property
    def action(self) -> str:
        """`rolled back`, or the exact term for it."""

    @property
    def image(self) -> str:
        """The image that the site runs again then."""

    def restore(self, release: Release, step: Step) -> Restored:
        """Rolls back. Raises `Refused` if another process has changed the site meanwhile."""

    def instructions(self, release: Release) -> list[str]:
        """The commands that do the same by hand, each after a line that introduces it."""


def resumable(known: list[Release], image: ReleaseImage, setting: str | None) -> Release | None:
    """The unfinished release on record if it is of this image and setting, by the same command: a
    run was killed.
    """
    unfinished = unfinished_release(known)
    if unfinished is None or not unfinished.is_of(image.digest, setting, image.command):
        return None
    return unfinished


def new_release(
    context: ReleaseContext,
    image: ReleaseImage,
    previous_image: str,
    *,
    setting_existed: bool,
    setting_changed: bool,
    setting: str | None = None,
    setting_removed: bool = False,
    slot: str = "",
) -> Release:
    """A release that starts now. `setting` is the wanted connection string, kept as fingerprint."""
    started = datetime.now(timezone.utc)
    name = secrets.token_hex(6)
    return Release(
        id=name,
        site=context.store.site,
        state=record.PENDING,
        started=started,
        expires=started,
        image=image.name,
        digest=image.digest,
        previous_image=previous_image,
        setting_existed=setting_existed,
        setting_changed=setting_changed,
        recipe=image.recipe,
        base=image.base,
        setting_fingerprint=record.fingerprint(name, setting),
        setting_removed=setting_removed,
        log_stamp=newest_stamp(context.client),
        slot=slot,
        command=image.command,
        goes_back_from=image.goes_back_from,
        target=image.target,
    )


class RecordedRelease:
    """A release whose record is pending: verifies it, rolls it back if it fails, completes it.

    `release` is the record as written last; `resumed` tells whether another run has begun it.
    """

    def __init__(self, context: ReleaseContext, release: Release, *, resumed: bool = True) -> None:
        self._context = context
        self._options = context.options
        self._console = context.console
        self._site = context.client.id
        self._verify = partial(
            verify,
            context.session,
            context.client,
            health_path=self._options.health_path,
            pace=self._options.pace,
            reachable=context.reachable,
        )
        self._was_unproven = release.state == record.UNPROVEN
        self.release = release
        self.resumed = resumed

    @classmethod
    def begin(
        cls,
        context: ReleaseContext,
        release: Release,
        known: list[Release],
        setting: str | None = None,
    ) -> RecordedRelease:
        """Writes the pending record.

        Raises `Refused` if another release is in progress, or if the time is up already.
        """
        if context.options.wait and context.remaining <= 0:
            raise Refused(
                f"{context.client.id} is unchanged: the {context.timeout} s of --timeout were up "
                "before its release could begin.",
                "Run the same command again with more time, or without --timeout.",
            )
        unfinished = unfinished_release(known)
        if (
            unfinished
            and unfinished.id != release.id
            and not release_lock.is_in_progress(unfinished)
        ):
            context.store.complete(unfinished, record.FAILED, "never completed")
        begun = cls(context, release, resumed=release.id in {one.id for one in known})
        begun.release = release_lock.extended(release, context.timeout)
        history = see_history(context.client.id)
        release_lock.acquire(context.store, begun.release, known, setting, see_history=history)
        return begun

    @property
    def wait_command(self) -> str:
        """The command that verifies the release as this one does, and completes its record."""
        wait = self._options.telemetry
        return self._context.command("wait", *(wait.words if wait else ()))

    def finish(self, observed: Observed, undo: Undo) -> ReleaseResult:
        """Verifies the site, rolls the release back if it fails, and completes its record."""
        self.keep_pending()
        with self._console.step("verify") as step:
            step.say(f"asking {observed.host}")
            verdict = self._verify(
                observed,
                self.release.image,
                log_since=self.release.log_since,
                timeout=self._context.timeout,
                spent=self._context.timeout - self._context.remaining,
                say=step.say,
                recipe=self.release.recipe,
                # Nothing was written before it is verified again.
                restart=None if self._was_unproven else self._restart_of(observed),
            )
            step.found(verdict.summary, verdict.healthy)
        serves = verdict.healthy or verdict.without_collector
        if serves and not self._has_setting():
            changed = f"another process has changed the app setting {SETTING} since"
            reason = f"its connection string: {changed}"
            unproven = replace(verdict, healthy=None, reason=reason, without_collector=False)
            return self._leave_unproven(unproven, "its connection string is another one")
        started, verdict = verdict.healthy, self._with_telemetry(observed, verdict)
        if verdict.healthy:
            self.complete(record.SUCCEEDED)
            return ReleaseResult(self.release, verdict, 0)
        if verdict.healthy is None:
            return self._leave_unproven(verdict, _but(verdict, started=started))
        fails = "fails to start" if started is False else "fails the verification"
        self._alert_evidence(verdict, f"{self._site} {fails}: {verdict.reason}.")
        if self._options.rollback:
            return self._roll_back(undo, verdict)
        self.complete(record.FAILED, verdict.reason)
        self._console.alert(*undo.instructions(self.release))
        return ReleaseResult(self.release, verdict, EXIT_NOT_ROLLED_BACK)

    def _with_telemetry(self, observed: Observed, verdict: Verdict) -> Verdict:
        """The verdict with the release's telemetry, if that is waited for."""
        wait, release = self._options.telemetry, self.release
        if wait is None or (release.command and not release.recipe):
            return verdict
        self.keep_pending(wait.seconds)
        is_new_image = not same_image(release.image, release.previous_image)
        since = (datetime.now(timezone.utc) - release.started).total_seconds()
        return verify_telemetry(
            *(self._context, observed, verdict, release.recipe),
            # The container of the same image from before has sent rows, too.
            age=max(since, 0.0) if is_new_image else 0.0,
            is_new_image=is_new_image,
            former_host=self._slot_host() if release.slot else "",
            image=release.image,
        )

    def _slot_host(self) -> str:
        """The host name of the slot that this release swaps; empty if it can't be read."""
        slot = replace(self._site, slot=self.release.slot)
        try:
            return observe_host(SiteClient(self._context.session, slot))
        except OtelembedError:
            return ""

    def keep_pending(self, seconds: float | None = None) -> None:
        """Extends the record, unless it outlasts another `seconds` (default: the timeout)."""
        seconds = seconds or self._context.timeout
        is_pending = self.release.state == record.PENDING
        if is_pending and release_lock.lasts(self.release, seconds + SPARE):
            return
        self._extend(self.release, seconds)

    def count_starts_since(self, observed: Observed) -> None:
        """Verifies a change that another process has made since `observed`, not this one.

        Its container may have started before this release began. The log counts from `observed` on,
        or from the release of that process, if it is on record.
        """
        if self.resumed:
            return
        store = self._context.store
        try:
            others = [one for one in store.read() if one.id != self.release.id]
        except OtelembedError:
            others = []
        newest = newest_release(others)
        is_twin = newest is not None and same_image(newest.image, self.release.image)
        stamps = [stamp_before(observed.began), newest.log_since if newest and is_twin else ""]
        self._extend(replace(self.release, log_stamp=max(stamps)), self._context.timeout)

    def _extend(self, release: Release, seconds: float) -> None:
        extended = release_lock.extended(release, seconds)
        try:
            self._context.store.write(extended)
        except OtelembedError as error:
            self._console.note(f"The record of the release can't be extended: {error.message}")
        else:
            self.release = extended

    def complete(self, state: State, reason: str = "") -> None:
        """Completes the record. An error is only noted: the site's own state matters more."""
        try:
            self.release = self._context.store.complete(self.release, state, reason)
        except OtelembedError as error:
            self._console.note(
                f"The record of the release stays pending: {error.message} Complete it with "
                f"`{self.wait_command}`."
            )

    def _has_setting(self) -> bool:
        """Whether the site still has the connection string of the release, if it sets one. It was
        read back after the write: one that can't be read now counts as present.
        """
        release = self.release
        if not release.setting_fingerprint:
            return True
        try:
            found = self._context.client.settings().get(SETTING)
        except OtelembedError:
            return True
        return release.is_of(release.digest, found, release.command)

    def _restart_of(self, observed: Observed) -> Callable[[], None] | None:
        """The call that restarts the site, if a site container of it was written; None otherwise.

        Public procedures disagree on whether App Service itself restarts the site after that.
        """
        is_written = observed.container is not None and not self.release.slot
        return self._restart_site if is_written else None

    def _restart_site(self) -> None:
        """Restarts the site. An error is only noted: the verdict says what is missing."""
        try:
            self._context.client.restart()
        except OtelembedError as error:
            self._console.note(f"{self._site} can't be restarted: {error.message}")
        else:
            self._console.note(f"{self._site} was restarted: no start of the new image showed.")

    def _leave_unproven(self, verdict: Verdict, but: str) -> ReleaseResult:
        """Completes a release that isn't shown to run; it stays in place."""
        status = self._options.status_of(verdict)
        if status == 0:
            self.complete(record.UNPROVEN, f"{record.ACCEPTED}: {verdict.reason}")
            self._console.note(
                f"The release of {self._site} is unproven, which --accept-unproven accepts: "
                f"{verdict.reason}."
            )
            return ReleaseResult(self.release, verdict, status)
        self.complete(record.UNPROVEN, verdict.reason)
        # The same rollback again would only verify it again.
        pinned = ("--from", self.release.id) if self.release.command == record.ROLLBACK else ()
        self._alert_evidence(
            verdict,
            f"{self._site} has the image {self.release.image}, but {but}. The release is "
            "unproven and stays in place.",
            f"Missing: {verdict.reason}.",
        )
        check = ("doctor",) if verdict.without_collector else ("status", "--check")
        self._console.alert(
            "Verify it again with:",
            f"  {self.wait_command}",
            "Find the broken link with:" if verdict.without_collector else "Check what runs with:",
            f"  {self._context.command(*check)}",
            "Go back with:",
            f"  {self._context.command('rollback', *pinned)}",
        )
        return ReleaseResult(self.release, verdict, status)

    def _roll_back(self, undo: Undo, failed: Verdict) -> ReleaseResult:
        timeout = max(self._context.timeout, ROLLBACK_TIMEOUT)
        lasts = timeout + LONGEST_BLOCK
        self._context.session.deadline.extend(timeout)
        self.keep_pending(lasts)
        with self._console.step("rollback") as step:
            step.say(f"restoring {undo.image}")
            try:
                restored = undo.restore(self.release, step)
            except OtelembedError as error:
                step.say(f"failed: {error.message}")
                return self._not_rolled_back(undo, failed, error)
            for note in restored.notes:
                self._console.note(note)
            self._console.stands(
                f"{self._site} was {undo.action} to {undo.image}, which is not verified yet; "
                f"continue with `{self._context.command('wait')}`"
            )
            self.keep_pending(lasts)
            verdict = self._verify(
                restored.observed,
                undo.image,
                log_since=restored.log_since,
                timeout=timeout,
                say=step.say,
                restart=self._restart_of(restored.observed),
                is_way_back=True,
                starts_twice=restored.starts_twice,
            )
            words = f"{undo.image} runs again" if verdict.healthy else verdict.reason
            step.found(words, verdict.healthy)
        done = f"{self._site} was {undo.action} to {undo.image}"
        if verdict.healthy:
            self.complete(record.ROLLED_BACK, failed.reason)
            self._console.alert(f"otelembed: {done}.")
            return ReleaseResult(self.release, failed, EXIT_ROLLED_BACK)
        if verdict.healthy is None:
            return self._end_unproven_rollback(undo, failed, verdict, done)
        reason = f"{failed.reason}; {undo.action}, but then: {verdict.reason}"
        self.complete(record.FAILED, reason)
        self._alert_evidence(verdict, f"{done}, which fails to start too: {verdict.reason}.")
        return ReleaseResult(self.release, failed, EXIT_NOT_ROLLED_BACK)

    def _end_unproven_rollback(
        self, undo: Undo, failed: Verdict, verdict: Verdict, done: str
    ) -> ReleaseResult:
        """Completes a release whose old image is set again, but isn't shown to run."""
        reason = f"{failed.reason}; {undo.action}, unproven: {verdict.reason}"
        self.complete(record.ROLLED_BACK, reason)
        unproven = f"{done}, but nothing shows that its container serves."
        self._alert_evidence(verdict, unproven, f"Missing: {verdict.reason}.")
        check = self._context.command("status", "--check")
        self._console.alert("Check what runs with:", f"  {check}")
        accepted = self._options.accept_unproven
        status = EXIT_ROLLED_BACK if accepted else EXIT_NOT_ROLLED_BACK
        return ReleaseResult(self.release, failed, status)

    def _not_rolled_back(self, undo: Undo, failed: Verdict, error: OtelembedError) -> ReleaseResult:
        told = f"otelembed: {self._site} was not {undo.action}: {error.message}"
        if isinstance(error, Refused):
            # Another process has changed the site: a rerun must not roll that back either.
            self._console.alert(told)
            reason = f"{failed.reason}; not {undo.action}: {error.message}"
            self.complete(record.FAILED, reason)
        else:
            self._console.alert(f"{told} Run the same command again to roll it back.")
        self._console.alert(*undo.instructions(self.release))
        return ReleaseResult(self.release, failed, EXIT_NOT_ROLLED_BACK)

    def _alert_evidence(self, verdict: Verdict, message: str, *more: str) -> None:
        evidence = (f"  {name}: {words}" for name, words in verdict.evidence.items())
        self._console.alert(f"otelembed: {message}", *more, *evidence)
        alert_log(self._console, verdict)


def _but(verdict: Verdict, *, started: bool | None) -> str:
    """What keeps an unproven release from being healthy, in words."""
    if verdict.without_collector:
        return "its collector doesn't run"
    shown = "its telemetry arrives" if started else "the new container serves"
    return f"nothing shows that {shown}"


def alert_log(console: Console, verdict: Verdict) -> None:
    """Shows the last log lines of the container."""
    if verdict.log:
        lines = (f"  | {line}" for line in verdict.log)
        console.alert("The container's last log lines:", *lines)
