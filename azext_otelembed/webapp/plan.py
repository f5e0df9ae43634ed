"""The ordered list of changes between what a site is and what is wanted. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from azext_otelembed.collector.connection_string import mask
from azext_otelembed.image.reference import same_image
from azext_otelembed.webapp.observe import SETTING, Observed
from azext_otelembed.webapp.setting import Setting


@dataclass(frozen=True, slots=True)
class Change:
    """One change; `before` and `after` are fit to be shown (settings are masked)."""

    what: str
    before: str | None
    after: str

    def as_result(self) -> dict[str, str | None]:
        """As it stands in the result object."""
        return {"what": self.what, "before": self.before, "after": self.after}

    def __str__(self) -> str:
        return f"{self.what}: {self.before or '(none)'} → {self.after}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to change. A new setting comes before the image that needs it, a removal after it."""

    setting: Setting | None
    image: str | None
    changes: tuple[Change, ...]
    removes_setting: bool = False

    @property
    def empty(self) -> bool:
        """Whether the site is already as wanted."""
        return not self.changes


def make_plan(observed: Observed, image: str, setting: Setting) -> Plan:
    """The changes that make `observed` run `image` with `setting`."""
    changes: list[Change] = []
    new_setting = observed.setting != setting.value
    if new_setting:
        before = mask(observed.setting) if observed.setting else None
        changes.append(Change(f"app setting {SETTING}", before, setting.masked))
    new_image = not same_image(observed.image, image)
    if new_image:
        changes.append(Change("image", observed.image, image))
    return Plan(setting if new_setting else None, image if new_image else None, tuple(changes))
