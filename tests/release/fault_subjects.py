"""Sites and registries in the state before a command: the subjects of the matrix of faults.

What releases leave is made once, by releases of one pair of sites. A subject gets its images, and
copies of its records: that costs a start of a container, and none of the releases.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from azext_otelembed.records import record
from azext_otelembed.records.record import Release
from azext_otelembed.records.record_store import RecordStore
from azext_otelembed.release.fleet import SEVERITY
from localazure.images.assemble import Entry, Image, layer, write_layout
from tests.e2e import images
from tests.e2e.support import SETTING, SETTINGS, Cloud, Site
from tests.programs import program
from tests.release.command_process import Command, Ended
from tests.release.driver import HASTY
from tests.release.support import NEW, Contents, Hand, id_of, session_of

COLLECTOR = "docker.io/someone/idle:1.0.0"
SHOP = "apps/shop"
GIVEN: Mapping[str, Any] = {"collector_image": COLLECTOR, "connection_string": NEW}
FOREIGN = {**SETTINGS, "NOTES": ' {"name": "Käse\\n", "n": 1.50}\t', "WHERE": "production"}
"""Settings that no command may touch; WHERE stays in its slot."""
STICKY = {
    "appSettingNames": ["WHERE"],
    "connectionStringNames": ["Shop"],
    "azureStorageConfigNames": None,
}
ABIDING = timedelta(seconds=200)
"""How long a pending release is in progress."""
LONG_AGO = "2026-01-05T08:00:00.0000000Z"


@dataclass
class Bench:
    """A registry with all the images, and the records that releases of them leave."""

    cloud: Cloud
    directory: Path
    numbers: Iterator[int] = field(default_factory=itertools.count)
    records: dict[str, Release] = field(default_factory=dict)
    """Of a deploy of base 1, one of base 2, a rollback, a swap with `staging`, and a removal."""
    held: dict[str, list[str]] = field(default_factory=dict)
    """What the repository of these images holds."""
    shelves: dict[str, Shelf] = field(default_factory=dict)
    """By resource group."""

    def __post_init__(self) -> None:
        local = self.cloud.local
        self.token = local.token()
        self.http: httpx.Client = local.http(base_url=local.management)
        self.registry = self.cloud.add_registry()
        self.host = local.registries[self.registry]
        self.client = session_of(local, self.token).open_registry(self.host)
        self.contents = Contents(self.cloud, self.host)
        layers = [
            layer([Entry("etc/ssl/certs/ca-certificates.crt", b"no certificates\n")]),
            layer([Entry("otelcol-contrib", program(), 0o755)]),
        ]
        idle = Image(layers, {"Entrypoint": ["/otelcol-contrib"]})
        write_layout(self.directory / "idle", idle, "1.0.0")
        local.push("hub", "someone/idle", "1.0.0", self.directory / "idle")
        images.variant(self.directory / "1.0", "1.0")
        images.variant(self.directory / "2.0", "2.0", Labels={"version": "2.0"})
        for tag in ("1.0", "2.0"):
            self.push(SHOP, tag)

    def release_all(self, group: str) -> None:
        """Make the records, and the embedded images."""
        hand = Hand(session_of(self.cloud.local, self.token), HASTY, {"timeout": 60, **GIVEN})
        production = self.place("template", "base 1", None, group=group)
        slot = self.place("template", "base 2", None, group=group, slot="staging")

        def keep(name: str) -> None:
            newest = self.contents.releases(production)[0]
            assert newest.state == record.SUCCEEDED, newest
            self.records[name] = newest

        hand.deploy(production, image=self.image("base 1"))
        keep("first")
        hand.deploy(production, image=self.image("base 2"))
        keep("second")
        hand.rollback(production)
        keep("rollback")
        hand.deploy(slot, image=self.image("base 2"), swap=True)
        keep("swap")
        self.records["slot"] = self.contents.releases(slot)[0]
        hand.remove(production)
        keep("removal")
        self.arm("DELETE", production.id)
        self.held = self.contents.manifests(SHOP)

    def push(self, repository: str, tag: str) -> None:
        """Push an app image into a repository of the registry."""
        self.cloud.local.push(self.registry, repository, tag, self.directory / tag)

    def image(self, name: str) -> str:
        """The reference of `base 1`, `base 2`, `embedded 1` or `embedded 2`, or `name` itself."""
        kind, _, number = name.partition(" ")
        if kind == "base":
            return f"{self.host}/{SHOP}:{number}.0"
        if kind == "embedded":
            return self.records["first" if number == "1" else "second"].image
        return name

    def arm(self, method: str, path: str, body: Any = None) -> Any:
        """Ask ARM past the extension."""
        headers = {"authorization": f"Bearer {self.token}"}
        query = {"api-version": "2024-04-01"}
        answer = self.http.request(method, path, params=query, json=body, headers=headers)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def place(self, name: str, image: str, setting: str | None, **spec: Any) -> Site:
        """A site that runs an image; its container starts meanwhile."""
        made = self.cloud.local.add_site(
            {
                "plan": "shop-plan",
                "name": name,
                "image": self.image(image),
                "system_identity": True,
                "roles": [{"role": "AcrPull", "scope": f"{{{self.registry}.id}}"}],
                "app_settings": self.settings(spec.get("slot"), setting),
                "config": {"acrUseManagedIdentityCreds": True},
                **({} if spec.get("slot") else {"slot_config_names": STICKY}),
                **spec,
            }
        )
        return Site(
            cloud=self.cloud,
            group=spec["group"],
            name=name,
            slot=spec.get("slot"),
            id=made["id"],
            url=made["url"],
            repository=SHOP,
            registry=self.registry,
            host=self.host,
            component=None,
        )

    def settings(self, slot: str | None, setting: str | None) -> dict[str, str]:
        """The app settings of a site or slot."""
        own = {"DOCKER_REGISTRY_SERVER_URL": f"https://{self.host}", "WHERE": slot or "production"}
        return {**FOREIGN, **own, **({SETTING: setting} if setting else {})}

    def write_records(self, site: Site, *releases: Release) -> None:
        """Give a site these records."""
        store = RecordStore(self.client, id_of(site).resource_id)
        store.create()
        for release in releases:
            store.write(replace(release, site=store.site))


def pending(release: Release) -> Release:
    """The release as its record was while it was verified, begun now."""
    now = datetime.now(timezone.utc)
    return replace(
        release,
        state=record.PENDING,
        started=now,
        expires=now + ABIDING,
        finished=None,
        reason="",
        log_stamp="",
    )


class Subject(ABC):
    """What a command is to change, its arguments, and what has to be true afterwards."""

    command: str
    """A key of `command_process.BODIES`."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.given: Mapping[str, Any] = {}
        """Arguments beside the sites."""
        self.number = next(bench.numbers)
        self.client = f"client-{self.number}"
        self.token = bench.token
        self.named: Sequence[Site] = ()
        """The sites that the command names."""
        self.asked: Sequence[Site] = ()
        """Those whose apps it asks."""

    @abstractmethod
    def prepare(self, group: str) -> None:
        """Put everything into the state before the command; `group` is for its sites."""

    @abstractmethod
    def delete(self) -> None:
        """Delete its sites."""

    @abstractmethod
    def wrong(self, *, done: bool) -> list[str]:
        """What isn't as it has to be after any run; `done`: after one that ended with status 0."""

    @abstractmethod
    def changed(self) -> bool:
        """Whether anything differs from the state before."""

    def call(self) -> Command:
        """The command."""
        local, sites = self.bench.cloud.local, [id_of(site) for site in self.named]
        return Command(self.command, local, self.token, self.client, sites, self.given)

    def wrong_end(self, ended: Ended) -> list[str]:
        """What is wrong with how the clean rerun ended, and with what it left."""
        if ended.exit_status != 0:
            return [f"the rerun ended with {ended.exit_status}: {ended.said[-900:]}"]
        return self.wrong(done=True) + self.pending()

    def pending(self) -> list[str]:
        """The releases left pending."""
        return []


@dataclass(frozen=True)
class State:
    """The image of a site, by its name, and its connection string."""

    image: str
    setting: str | None = NEW


class ReleasedSites(Subject):
    """Production, perhaps with a slot, and their records."""

    def __init__(self, bench: Bench, case: Case) -> None:
        super().__init__(bench)
        self.case = case
        self.command = case.command
        self.given = {name: self._argument(value) for name, value in case.given.items()}

    def _argument(self, value: Any) -> Any:
        return self.bench.image(value) if value == "base 2" else value

    def prepare(self, group: str) -> None:
        bench, case = self.bench, self.case
        releases = {
            role: [bench.records[name] for name in names] for role, names in case.records.items()
        }
        if case.is_pending:
            newest, *older = releases["production"]
            releases["production"] = [pending(newest), *older]
        name = f"shop-{self.number}"
        self.sites: dict[str, Site] = {}
        for role, state in case.before.items():
            slot = {"slot": "staging"} if role == "slot" else {}
            self.sites[role] = bench.place(name, state.image, state.setting, group=group, **slot)
            if role in releases:
                bench.write_records(self.sites[role], *releases[role])
        self.named = [self.sites[case.named]]
        self.asked = list(self.sites.values())

    def delete(self) -> None:
        self.bench.arm("DELETE", self.sites["production"].id)

    def wrong(self, *, done: bool) -> list[str]:
        case, seen = self.case, self.look()
        allowed = [case.after] if done else [case.before, case.after, *case.between]
        if seen.states not in [self._resolved(states) for states in allowed]:
            return [f"the state is {seen}", *self._wrong_rest(seen)]
        newest = next((one for one in seen.releases if one.applied), None)
        if done and (newest is None or newest.image != seen.states["production"].image):
            return [f"the newest release is {newest}", *self._wrong_rest(seen)]
        return self._wrong_rest(seen)

    def _wrong_rest(self, seen: Seen) -> list[str]:
        """What no command may change: other settings, sticky names, images, older releases."""
        wrong = []
        for role, settings in seen.settings.items():
            if settings != self.bench.settings(self.sites[role].slot, settings.get(SETTING)):
                wrong.append(f"the settings are {settings}")
        if seen.sticky != STICKY:
            wrong.append(f"sticky names are {seen.sticky}")
        if seen.held != self.bench.held:
            wrong.append(f"the repository holds {seen.held}")
        before = {self.bench.records[one].id for one in self.case.records["production"]}
        if not before <= {one.id for one in seen.releases}:
            wrong.append(f"the history has lost releases: {seen.releases}")
        return wrong

    def changed(self) -> bool:
        return self.look().states != self._resolved(self.case.before)

    def pending(self) -> list[str]:
        states = [
            release.state
            for site in self.sites.values()
            for release in self.bench.contents.releases(site)
        ]
        return [f"the releases are {states}"] if record.PENDING in states else []

    def wrong_end(self, ended: Ended) -> list[str]:
        words = self.case.already
        if ended.exit_status and words and words in ended.said:
            return self.wrong(done=True) + self.pending()
        return super().wrong_end(ended)

    def look(self) -> Seen:
        """What there is, read past the extension."""
        settings = {
            role: self.bench.arm("POST", f"{site.id}/config/appsettings/list")["properties"]
            for role, site in self.sites.items()
        }
        production = self.sites["production"]
        return Seen(
            {
                role: State(self._image(site), settings[role].get(SETTING))
                for role, site in self.sites.items()
            },
            settings,
            self.bench.arm("GET", f"{production.id}/config/slotConfigNames")["properties"],
            self.bench.contents.manifests(SHOP),
            self.bench.contents.releases(production),
        )

    def _image(self, site: Site) -> str:
        found = self.bench.arm("GET", f"{site.id}/config/web")["properties"]["linuxFxVersion"]
        return str(found).partition("|")[2]

    def _resolved(self, states: Mapping[str, State]) -> dict[str, State]:
        return {
            role: replace(state, image=self.bench.image(state.image))
            for role, state in states.items()
        }


@dataclass(frozen=True)
class Seen:
    """A look at sites, by role, and at production's records, newest first."""

    states: Mapping[str, State]
    settings: Mapping[str, Mapping[str, str]]
    sticky: Mapping[str, Any]
    held: Mapping[str, list[str]]
    releases: Sequence[Release]

    def __str__(self) -> str:
        return ", ".join(
            f"{role} {state.image.rpartition('/')[2]} with{'' if state.setting else 'out'} setting"
            for role, state in self.states.items()
        )


@dataclass(frozen=True)
class Case:
    """A command of one site. `between` are states that it may leave when it is interrupted.

    `already` is how the rerun may refuse where the interrupted run has done everything.
    """

    command: str
    before: Mapping[str, State]
    after: Mapping[str, State]
    records: Mapping[str, Sequence[str]]
    """By role, newest first: keys of `Bench.records`."""
    between: Sequence[Mapping[str, State]] = ()
    is_pending: bool = False
    """Whether the newest release of production is."""
    named: str = "production"
    given: Mapping[str, Any] = field(default_factory=dict)
    already: str = ""


def _one(image: str, setting: str | None = NEW) -> dict[str, State]:
    return {"production": State(image, setting)}


def _both(production: str, slot: str) -> dict[str, State]:
    return {"production": State(production), "slot": State(slot)}


DEPLOYED = ("second", "first")
DONE = "has no pending release"
CASES: Mapping[str, Case] = {
    "rollback": Case("rollback", _one("embedded 2"), _one("embedded 1"), {"production": DEPLOYED}),
    "remove": Case(
        "remove",
        _one("embedded 2"),
        _one("base 2", None),
        {"production": DEPLOYED},
        between=[_one("base 2")],
        already="there is nothing to remove",
    ),
    "wait for a deploy": Case(
        "wait",
        _one("embedded 2"),
        _one("embedded 2"),
        {"production": DEPLOYED},
        is_pending=True,
        already=DONE,
    ),
    "wait for a rollback": Case(
        "wait",
        _one("embedded 1"),
        _one("embedded 1"),
        {"production": ("rollback", *DEPLOYED)},
        is_pending=True,
        already=DONE,
    ),
    "wait for a removal": Case(
        "wait",
        _one("base 2"),
        _one("base 2", None),
        {"production": ("removal", *DEPLOYED)},
        is_pending=True,
        already=DONE,
    ),
    "wait for a swap": Case(
        "wait",
        _both("embedded 2", "embedded 1"),
        _both("embedded 2", "embedded 1"),
        {"production": ("swap", "first"), "slot": ("slot",)},
        is_pending=True,
        already=DONE,
    ),
    "swap": Case(
        "deploy",
        _both("embedded 1", "embedded 2"),
        _both("embedded 2", "embedded 1"),
        {"production": ("first",), "slot": ("slot",)},
        named="slot",
        given={**GIVEN, "image": "base 2", "swap": True},
    ),
}


class FleetOfThree(Subject):
    """Three sites of one app image, none of them embedded."""

    command = "fleet"

    def prepare(self, group: str) -> None:
        self.given = GIVEN
        self.repository = f"apps/fleet-{self.number}"
        self.bench.push(self.repository, "1.0")
        image = f"{self.bench.host}/{self.repository}:1.0"
        self.named = self.asked = [
            self.bench.place(f"shop-{self.number}-{name}", image, None, group=group)
            for name in ("a", "b", "c")
        ]

    def delete(self) -> None:
        for site in self.named:
            self.bench.arm("DELETE", site.id)

    def wrong(self, *, done: bool) -> list[str]:
        return [one for site in self.named for one in self._wrong_site(site, done=done)]

    def wrong_result(self, ended: Ended) -> list[str]:
        """Each site has a result of its own; the exit status is that of the worst one."""
        if not ended.result:
            return []
        statuses = [one["exitStatus"] for one in ended.result["sites"]]
        wrong = []
        if max(statuses, key=SEVERITY.index) != ended.exit_status:
            wrong.append(f"ended with {ended.exit_status}, its sites with {statuses}")
        for site, status in zip(self.named, statuses, strict=True):
            if status == 0:
                wrong += self._wrong_site(site, done=True)
        return wrong

    def changed(self) -> bool:
        return bool(self.changed_sites())

    def changed_sites(self) -> set[str]:
        """The names of the sites that differ from the state before."""
        differs = partial(self._wrong_site, done=False, unchanged=True)
        return {site.name for site in self.named if differs(site)}

    def pending(self) -> list[str]:
        contents = self.bench.contents
        states = [release.state for site in self.named for release in contents.releases(site)]
        return [f"the releases are {states}"] if record.PENDING in states else []

    def _wrong_site(self, site: Site, *, done: bool, unchanged: bool = False) -> list[str]:
        held = self.bench.contents.manifests(self.repository)
        made = [tags for tags in held.values() if tags != ["1.0"]]
        wrong = [f"the repository holds {held}"] if len(made) > 1 or len(held) > 2 else []
        config = self.bench.arm("GET", f"{site.id}/config/web")["properties"]
        tag = config["linuxFxVersion"].rpartition(":")[2]
        listed = self.bench.arm("POST", f"{site.id}/config/appsettings/list")["properties"]
        value = listed.get(SETTING)
        if listed != self.bench.settings(None, value):
            wrong.append(f"the settings of {site.name} are {listed}")
        embedded = [tag] in made
        if not embedded and tag != "1.0":
            wrong.append(f"{site.name} runs {tag}")
        if done and not (embedded and value == NEW):
            wrong.append(f"{site.name} runs {tag}, with the setting {value}")
        if unchanged and (embedded or value):
            wrong.append(f"{site.name} has changed")
        return wrong


@dataclass
class Shelf:
    """A registry with embedded images for `prune`, some of which are needed.

    `kept` are the digests of those, by tag.
    """

    registry: str
    token: str
    site: Site
    kept: dict[str, str]
    releases: list[Release]


class OldImages(Subject):
    """Two old images that nothing needs, beside images that a site, a slot or a rollback needs."""

    command = "prune"

    def prepare(self, group: str) -> None:
        shelves = self.bench.shelves
        self.shelf = shelves[group] = shelves.get(group) or self._shelf(group)
        self.given = {"registry": self.shelf.registry}
        self.token = self.shelf.token
        self.orphans = {self._tag(n): self._image(self._tag(n)) for n in (1, 2)}

    def delete(self) -> None:
        """Nothing: the shelf stays for the next one."""

    def wrong(self, *, done: bool) -> list[str]:
        held = self._held()
        wrong = [f"'{tag}' was deleted" for tag in self.shelf.kept if tag not in held]
        if done and (left := self.orphans.keys() & held.keys()):
            wrong.append(f"{sorted(left)} are left")
        if self._contents.releases(self.shelf.site) != self.shelf.releases:
            wrong.append("the history has changed")
        for tag in wrong and self.shelf.kept:  # the next one shall find them
            self._image(tag)
        return wrong

    def changed(self) -> bool:
        return not self.orphans.keys() <= self._held().keys()

    @property
    def _contents(self) -> Contents:
        cloud = self.bench.cloud
        return Contents(cloud, cloud.local.registries[self.shelf.registry])

    def _held(self) -> dict[str, str]:
        held = self._contents.manifests(SHOP)
        return {tag: digest for digest, tags in held.items() for tag in tags}

    @staticmethod
    def _tag(number: int) -> str:
        return f"1.0-otelembed-{number:012x}"

    def _image(self, tag: str, registry: str = "") -> str:
        """Push an image that is old, under a tag like those of embedded ones; its digest."""
        name, local = registry or self.shelf.registry, self.bench.cloud.local
        layout = self.bench.directory / tag
        if not layout.exists():
            images.shell(layout, f"exit 0 # {tag}", tag)
        digest = local.push(name, SHOP, tag, layout)
        local.backdate(name, SHOP, tag, LONG_AGO)
        return digest

    def _shelf(self, group: str) -> Shelf:
        cloud = self.bench.cloud
        registry = cloud.add_registry()
        host = cloud.local.registries[registry]
        runs, in_slot, before, newer = (self._tag(number) for number in (11, 12, 13, 14))
        kept = {tag: self._image(tag, registry) for tag in (runs, in_slot, before, newer)}
        name = f"shelf-{self.number}"
        image, spec = f"{host}/{SHOP}", {"group": group, "state": "Stopped"}
        site = self.bench.place(name, f"{image}:{runs}", NEW, **spec)
        self.bench.place(name, f"{image}:{in_slot}", NEW, slot="staging", **spec)
        scopes = [site.id.partition("/providers/")[0], cloud.registry_id(registry)]
        token = cloud.token(*(("Contributor", scope) for scope in scopes))
        now = datetime.now(timezone.utc)
        release = replace(
            self.bench.records["second"],
            site=id_of(site).resource_id,
            image=f"{image}:{newer}",
            digest=kept[newer],
            previous_image=f"{image}:{before}",
            started=now,
            finished=now,
        )
        store = RecordStore(
            session_of(cloud.local, self.bench.token).open_registry(host), release.site
        )
        store.create()
        store.write(release)
        return Shelf(registry, token, site, kept, [release])


def subject(bench: Bench, title: str) -> Subject:
    """A new subject of a row of the matrix."""
    if title == "prune --delete":
        return OldImages(bench)
    if title == "a fleet of three":
        return FleetOfThree(bench)
    return ReleasedSites(bench, CASES[title])


TITLES = (*CASES, "prune --delete", "a fleet of three")
