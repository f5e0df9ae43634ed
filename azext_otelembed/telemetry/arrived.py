"""Asks Application Insights which telemetry of a site has arrived."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from azext_otelembed.azure.components import Component
from azext_otelembed.azure.session import Session
from azext_otelembed.azure.sites import SiteId


@dataclass(frozen=True, slots=True)
class Sender:
    """The site that sends: its id, its own host name, and the first 12 digits of the recipe of the
    image that it runs (empty if that is unknown).
    """

    site: SiteId
    host: str
    recipe: str = ""


@dataclass(frozen=True, slots=True)
class Arrived:
    """The rows of a site that have arrived within `window` seconds before `asked`.

    `by_table` has the rows of each table that has any, under the names of the classic schema
    (`requests`, `traces` …); `by_instance` and `by_recipe` those of each instance and of each
    recipe, "" where a row names none. `newest` is the time of the newest row (None without rows)
    and `released` that of the newest row of the sender's recipe. Times are Azure's, with a zone.
    `partial` is what the service says of a result that is not complete, empty for a complete one.
    """

    window: float
    asked: datetime
    by_table: Mapping[str, int] = field(default_factory=dict)
    by_instance: Mapping[str, int] = field(default_factory=dict)
    by_recipe: Mapping[str, int] = field(default_factory=dict)
    newest: datetime | None = None
    released: datetime | None = None
    partial: str = ""

    @property
    def rows(self) -> int:
        """The rows of all tables."""
        return sum(self.by_table.values())


def ask(session: Session, component: Component, site: Sender, window: float) -> Arrived:
    """The rows of `site` that `component` has received within the last `window` seconds.

    Raises `Unauthorized` without the right to query it (the recommendation is the command that
    assigns the role), `AzureFailed`, `NotFound` and `DeadlineExceeded`.
    """
    raise NotImplementedError
