"""Asks Application Insights which telemetry of a site has arrived."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

from azext_otelembed.az_commands import Verbatim, placeholder
from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.arm_json import AGAIN, Json, object_at, required_objects_at, text_at
from azext_otelembed.azure.components import Component
from azext_otelembed.azure.session import Session
from azext_otelembed.azure.sites import SiteId
from azext_otelembed.collector.config import uses_azuremonitor
from azext_otelembed.errors import AzureFailed, Unauthorized
from azext_otelembed.telemetry.logs_query import COLUMNS, KINDS, MOST_GROUPS, RECIPE, logs_query

API_VERSION = "2018-04-20"
"""Of a component's `query`, by which Azure Resource Manager passes the query on to Application
Insights ("Azure API format", dev.applicationinsights.io). A GET, since `*/read` allows it: the
action is Microsoft.Insights/components/query/read, of Reader and Monitoring Reader."""
ROLE = "Monitoring Reader"
LATENCY = 180.0
"""Seconds until rows can be queried: 20 s to 3 min on average ("Log data ingestion time in Azure
Monitor", learn.microsoft.com)."""
_COLLECTOR_SDK = "otelc-"
"""Begins the `sdkVersion` of the azuremonitor exporter's rows."""
NO_ROWS: Mapping[str, Any] = dict.fromkeys(
    ("rows", "instances", "recipes", "newest", "thisRelease", "window", "incomplete")
)
"""The fields of `Arrived.as_result`, without an answer."""


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that have the same kind, role, instance, recipe, host and `sdk`; each may be empty.

    `sdk` names the program that sent them to Application Insights.
    """

    kind: str
    role: str
    instance: str
    recipe: str
    host: str
    rows: int
    newest: datetime
    sdk: str = ""


@dataclass(frozen=True, slots=True)
class Sender:
    """The site that sends: its id, its own host name, and the first 12 digits of the recipe of the
    image that it runs (empty if that is unknown).

    `former_host` is that of the slot with which the site was swapped, if it was: a container keeps
    the WEBSITE_HOSTNAME that it was started with. `names_recipe`: the collector's configuration is
    known to add the recipe to each row. `by_key`: it is known to use the azuremonitor exporter.
    """

    site: SiteId
    host: str
    recipe: str = ""
    former_host: str = ""
    names_recipe: bool = False
    by_key: bool = False

    @classmethod
    def of(cls, site: SiteId, host: str, recipe: str | None, former_host: str = "") -> Sender:
        """The sender with a recipe as a digest (`sha256:…`), its 64 digits, or none."""
        return cls(site, host, (recipe or "").rpartition(":")[2][:12], former_host)

    def with_config(self, config: bytes | None) -> Sender:
        """The sender with the collector's configuration in its image; None if it isn't known."""
        if config is None:
            return self
        names_recipe = bool(self.recipe) and RECIPE.encode() in config
        return replace(self, names_recipe=names_recipe, by_key=bool(uses_azuremonitor(config)))

    def sends(self, group: Group) -> bool:
        """Whether rows are this site's.

        The host name that they carry decides. Rows without one (a custom configuration, an earlier
        release) are the site's by their recipe, or by their role.
        """
        host, name, role = group.host.lower(), self.site.name.lower(), group.role.lower()
        if host:
            is_former = self._is_released(group) and host == self.former_host.lower()
            return host == self.host.lower() or is_former
        return self._is_released(group) or role == name or role.endswith(f".{name}")

    def is_of_another_slot(self, group: Group) -> bool:
        """Whether rows of this release name the host of another slot of the app, or of no swap that
        is known.
        """
        first, name = group.host.lower().partition(".")[0], self.site.name.lower()
        is_app = first == name or first.startswith(f"{name}-")
        return is_app and self._is_released(group) and not self.sends(group)

    def may_have_sent(self, group: Group) -> bool:
        """Whether rows of this site that name no recipe may be its collector's, rather than those
        of a program that sends to Application Insights itself.
        """
        if self.names_recipe:
            return False
        return not self.by_key or not group.sdk or group.sdk.startswith(_COLLECTOR_SDK)

    def _is_released(self, group: Group) -> bool:
        return bool(self.recipe) and group.recipe == self.recipe


@dataclass(frozen=True, slots=True)
class Arrived:
    """The rows of a site that have arrived within `window` seconds before `asked`.

    `by_table` has the rows of each kind that has any (`requests`, `dependencies`, `logs`,
    `exceptions`, `metrics`, `events`); `by_instance` and `by_recipe` those of each instance and of
    each recipe, "" where rows name none. `newest` is the time of the newest row (None without
    rows), `released` that of the newest row of the sender's recipe, and `recipe` that recipe
    (empty if unknown). `unnamed` is the time of the newest row that names no recipe and may show
    all the same that the collector sends; `doubt` is why such rows don't show it. `elsewhere` are
    rows of the same recipe that name the host of another slot. Times are Azure's, with a zone.
    `partial` is what the service says of a result that is not complete; empty for a complete one.
    """

    window: float
    asked: datetime
    recipe: str = ""
    by_table: Mapping[str, int] = field(default_factory=dict)
    by_instance: Mapping[str, int] = field(default_factory=dict)
    by_recipe: Mapping[str, int] = field(default_factory=dict)
    newest: datetime | None = None
    released: datetime | None = None
    unnamed: datetime | None = None
    doubt: str = ""
    elsewhere: Mapping[str, int] = field(default_factory=dict)
    partial: str = ""

    @property
    def rows(self) -> int:
        """The rows of all kinds."""
        return sum(self.by_table.values())

    @property
    def proof(self) -> bool | None:
        """Whether rows show that the running release's telemetry arrives; None if they leave it
        open: a container that was swapped may still name its former slot's host.
        """
        if self.evidence is None:
            return None if self.elsewhere or self.doubt == _OF_ANY_SLOT else False
        return True

    @property
    def evidence(self) -> datetime | None:
        """The time of the newest row that shows it. Rows that name no recipe do so only where none
        names one: a custom configuration.
        """
        return self.released or self.unnamed

    def __str__(self) -> str:
        """`8 requests, 3 dependencies, 12 logs, the last 12 s ago, from this release`."""
        partial = f" (incomplete: {self.partial})" if self.partial else ""
        if self.newest is None:
            others = "".join(
                f"; {count} of the same recipe name the host {host}"
                for host, count in self.elsewhere.items()
            )
            return f"no rows in the last {span(self.window)}{others}{partial}"
        counts = ", ".join(
            f"{count} {names[0] if count != 1 else names[1]}"
            for names in KINDS.values()
            if (count := self.by_table.get(names[0]))
        )
        ago = span(max((self.asked - self.newest).total_seconds(), 0.0))
        return f"{counts}, the last {ago} ago, {self._origin()}{partial}"

    def _origin(self) -> str:
        """Which release the rows are from."""
        others = [one for one in self.by_recipe if one and one != self.recipe]
        if self.released is not None:
            mine = self.by_recipe[self.recipe]
            return "from this release" if mine == self.rows else f"{mine} of them from this release"
        if others:
            named = ", ".join(sorted(others)[:3]) + (" …" if len(others) > 3 else "")
            return f"none from this release ({self.recipe or 'unknown'}): {named}"
        return f"which name no release{self.doubt and f', and {self.doubt}'}"

    def as_result(self) -> dict[str, Any]:
        """The fields of the rows in a command's result."""
        return {
            **NO_ROWS,
            "rows": dict(self.by_table),
            "instances": dict(self.by_instance),
            "recipes": dict(self.by_recipe),
            "newest": self.newest and self.newest.isoformat(timespec="seconds"),
            "thisRelease": self.released is not None,
            "window": round(self.window),
            "incomplete": self.partial or None,
        }


def span(seconds: float) -> str:
    """Seconds in words: `12 s`, `3 min`, `2 h`."""
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 86_400:.0f} days"


_PAST_COLLECTOR = "don't come from its collector"
_OF_ANY_SLOT = "may be those of another slot"


def ask(
    session: Session,
    component: Component,
    site: Sender,
    window: float,
    config: Callable[[], bytes | None],
) -> Arrived:
    """The rows of `site` that `component` has received within the last `window` seconds.

    `config` reads the configuration of its collector; it is called where rows name no recipe.
    Raises `Unauthorized` without the right to query it (the recommendation is the command that
    assigns the role), `AzureFailed`, `NotFound` and `DeadlineExceeded`.
    """
    what = f"Telemetry in Application Insights component '{component.name}'"
    query = logs_query(site.site.name, site.host, site.recipe, window)
    try:
        answer = Arm(session).get(what, f"{component.id}/query", API_VERSION, query=query)
    except Unauthorized as refused:
        raise Unauthorized(refused.message, role_advice(session, component, refused)) from None
    groups, asked = read_groups(what, answer)
    error = object_at(what, answer, "error")
    told = error.get("message") or error.get("code") or "an error without a message"
    partial = session.secrets.brief(str(told)) if error else ""
    if not partial and len(groups) >= MOST_GROUPS:
        partial = f"the newest {MOST_GROUPS} groups of rows"
    found = arrived(site, window, asked, groups, partial)
    if found.unnamed or found.doubt:
        found = arrived(site.with_config(config()), window, asked, groups, partial)
    return found


def arrived(
    site: Sender, window: float, asked: datetime, groups: Sequence[Group], partial: str = ""
) -> Arrived:
    """What of `groups` is the telemetry of `site`."""
    mine = [group for group in groups if site.sends(group)]
    released = [group.newest for group in mine if site.recipe and group.recipe == site.recipe]
    unnamed, doubt = _unnamed(site, mine)
    return Arrived(
        window,
        asked,
        site.recipe,
        _sums(mine, lambda group: group.kind),
        _sums(mine, lambda group: group.instance),
        _sums(mine, lambda group: group.recipe),
        max((group.newest for group in mine), default=None),
        max(released, default=None),
        unnamed,
        doubt,
        _sums((one for one in groups if site.is_of_another_slot(one)), lambda group: group.host),
        partial,
    )


def _unnamed(site: Sender, mine: Sequence[Group]) -> tuple[datetime | None, str]:
    """The newest of the rows without a recipe, if they may show that the site's collector sends;
    else why they don't.
    """
    if not mine or (site.recipe and any(group.recipe for group in mine)):
        return None, ""
    found = [group for group in mine if site.may_have_sent(group)]
    if not found:
        return None, _PAST_COLLECTOR
    if site.site.slot:
        # Production has the same role name.
        found = [group for group in found if group.host]
    newest = max((group.newest for group in found), default=None)
    return newest, "" if newest else _OF_ANY_SLOT


def _sums(groups: Iterable[Group], key: Callable[[Group], str]) -> dict[str, int]:
    sums = Counter[str]()
    for group in groups:
        sums[key(group)] += group.rows
    return dict(sums)


def role_advice(session: Session, component: Component, refused: Unauthorized) -> str:
    """The command that gives the caller the right to query `component`."""
    # Azure Resource Manager's refusal names the object id of the caller.
    caller = re.search(r"object id '([0-9A-Fa-f-]{36})'", refused.message)
    words = (
        *("--role", Verbatim(f'"{ROLE}"')),
        *("--assignee", caller[1] if caller else placeholder("your user or application id")),
        *("--scope", component.id),
    )
    command = session.caller.command("role assignment create", *words, subscription=None)
    return (
        f"The query needs the role {ROLE} (or Reader) on the component: `{command}`. If its "
        "workspace requires workspace permissions, it needs the role there too."
    )


def read_groups(what: str, found: Json) -> tuple[list[Group], datetime]:
    """The groups in an answer, and the service's time. Raises `AzureFailed` for another answer.

    Rows are lists in the order of `columns` (Application Insights' response format).
    """
    tables = required_objects_at(what, found, "tables")
    if not tables:
        return [], datetime.now(timezone.utc)
    names = [text_at(what, one, "name") for one in required_objects_at(what, tables[0], "columns")]
    groups: list[Group] = []
    asked = datetime.now(timezone.utc)
    for row in _rows(what, tables[0], names):
        kind = KINDS.get(str(row["itemType"]), (str(row["itemType"]), ""))[0]
        role, instance, recipe, host, sdk = (str(row[name] or "") for name in COLUMNS[1:6])
        newest = _time(what, row["newest"])
        groups.append(Group(kind, role, instance, recipe, host, row["rows"], newest, sdk))
        asked = _time(what, row["asked"])
    return groups, asked


def _rows(what: str, table: Json, names: list[str]) -> Iterator[dict[str, Any]]:
    rows = table.get("rows")
    for row in rows if isinstance(rows, list) else (None,):
        read = dict(zip(names, row, strict=False)) if isinstance(row, list) else {}
        if set(COLUMNS) - set(read) or not isinstance(read["rows"], int):
            raise AzureFailed(f"{what}: Azure answered with rows of an unexpected form.", AGAIN)
        yield read


def _time(what: str, value: object) -> datetime:
    """A time as Kusto writes it: ISO 8601 in UTC, with up to seven decimals."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z", str(value), re.ASCII)
    try:
        # Not rounded up: the last time that Kusto knows is the end of the year 9999.
        moment = datetime.fromisoformat(f"{match[1]}{(match[2] or '.')[:7]:0<7}") if match else None
    except ValueError:
        moment = None
    if moment is None:
        raise AzureFailed(f"{what}: Azure answered with something other than a time.", AGAIN)
    return moment.replace(tzinfo=timezone.utc)
