"""The ordered list of changes between what a site is and what is wanted. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from azext_otelembed.collector.connection_string import differences, is_reference, mask, parse
from azext_otelembed.image.reference import Reference, same_image
from azext_otelembed.webapp.observe import SETTING, Observed
from azext_otelembed.webapp.setting import Setting

IMAGE = "image"
"""`Change.what` of a change of the image."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change; `before` and `after` are fit to be shown (settings are masked).

    `note` says how they differ, where that isn't seen in what is shown.
    """

    what: str
    before: str | None
    after: str
    note: str | None = None

    def as_result(self) -> dict[str, str | None]:
        """The entry of `changes` in the result object; `note` is left out without one."""
        shown = {"what": self.what, "before": self.before, "after": self.after}
        return {**shown, "note": self.note} if self.note else shown

    def __str__(self) -> str:
        note = f" ({self.note})" if self.note else ""
        return f"{self.what}: {self.before or '(none)'} → {self.after}{note}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to change. A new setting comes before the image that needs it, a removal after it.

    `image` is a target's reference, or an earlier image as its record spells it. It is None where
    the image stays, and while the new image has no name yet (`switches_image` tells them apart).
    """

    setting: Setting | None
    image: Reference | str | None
    changes: tuple[Change, ...]
    removes_setting: bool = False

    @property
    def switches_image(self) -> bool:
        """Whether the site is to run another image."""
        return any(change.what == IMAGE for change in self.changes)

    @property
    def changes_setting(self) -> bool:
        """Whether the connection string is set or removed."""
        return self.setting is not None or self.removes_setting

    @property
    def empty(self) -> bool:
        """Whether the site is already as wanted."""
        return not self.changes


NO_CHANGE = Plan(None, None, ())
NO_NAME_YET = "(named once the collector is in the registry)"
"""Stands for an image whose name follows from a recipe that isn't known yet."""


def make_plan(observed: Observed, image: Reference | None, setting: Setting) -> Plan:
    """The changes that make `observed` run `image` (None: it has no name yet) with `setting`."""
    changes: list[Change] = []
    new_setting = observed.setting != setting.value
    if new_setting:
        before = mask(observed.setting) if observed.setting else None
        note = _setting_note(observed.setting, setting)
        changes.append(Change(f"app setting {SETTING}", before, setting.masked, note))
    new_image = image is None or not same_image(observed.image, image)
    if new_image:
        changes.append(Change(IMAGE, observed.image, str(image or NO_NAME_YET)))
    return Plan(setting if new_setting else None, image if new_image else None, tuple(changes))


def _setting_note(before: str | None, setting: Setting) -> str | None:
    """What was changed of the value as given, or how it differs from one that looks alike."""
    if setting.normalised:
        return f"normalised: {', '.join(setting.normalised)}"
    if before is None or mask(before) != setting.masked or is_reference(setting.value):
        return None
    return ", ".join(differences(before, parse(setting.value))) or None
