"""What `az otelembed` refuses: each with one clear message, and nothing changed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

import pytest

from azext_otelembed.azure.session import Session
from azext_otelembed.errors import InvalidImage, InvalidInput
from localazure.az import Az
from tests.e2e import inprocess
from tests.e2e.cases import Batch
from tests.e2e.inprocess import Ended
from tests.e2e.refusal_places import component_id, make_sites, push_images, write_files
from tests.e2e.refusals import (
    COLLECTOR_NAMES,
    CONNECTION_STRINGS,
    DIGEST,
    IMAGE_NAMES,
    IN_PROCESS,
    KEY,
    NOBODY,
    ROWS,
    WITH_AZ,
    Row,
)
from tests.e2e.support import API_KEY, Answer, Cloud, Site, is_write
from tests.selection import rest_is_thorough


@dataclass(frozen=True, slots=True)
class Place:
    """What the rows talk about: sites, callers, and names for the braces."""

    cloud: Cloud
    sites: Mapping[str, Site]
    roles: Mapping[str, tuple[tuple[str, str], ...]]
    """What each caller but the owner may do, as `(role, scope)`."""
    names: Mapping[str, Any]
    logged_in: dict[str, Az]
    lock: Lock

    def run(self, row: Row) -> Answer:
        """Run a row's command, with the real az."""
        site = self.sites[row.site]
        arguments = shlex.split(self.fill(row.arguments))
        if not row.whole:
            arguments = ["deploy", *site.arguments, *arguments]
        return self.cloud.otelembed(*arguments, az=self.caller(row.caller), input=row.input)

    def caller(self, name: str) -> Az:
        """The az of a caller, who logs in when a row first asks for it; `nobody` has logged out."""
        with self.lock:
            if name not in self.logged_in:
                az = self.cloud.caller(*self.roles[name])
                if name == "nobody":
                    assert az.run("logout").returncode == 0
                self.logged_in[name] = az
            return self.logged_in[name]

    def run_in_process(self, row: Row, owner: Session) -> Ended:
        """The same without az."""
        wanted = {name: self.fill(value) for name, value in (row.wanted or {}).items()}
        fields = ("group", "name", "slot")
        named: dict[str, Any] = {name: wanted.pop(name) for name in fields if name in wanted}
        session = owner
        if row.caller != "owner":
            session = inprocess.session(self.cloud, self.cloud.token(*self.roles[row.caller]))
        return inprocess.deploy(session, replace(self.sites[row.site], **named), **wanted)

    def fill(self, text: str) -> str:
        """`text` with the names in braces filled in."""
        return text.format(**self.names)


@pytest.fixture(scope="module")
def place(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Place:
    files = tmp_path_factory.mktemp("refusals")
    sites = make_sites(cloud, files)
    plain = sites["plain"]
    push_images(plain, files)
    write_files(files)
    scope = plain.id.partition("/providers/")[0]
    registry = cloud.registry_id()
    roles = {
        "nobody": (("Reader", registry),),
        "reader": (("Reader", scope),),
        "stranger": (("Reader", registry),),
        "websites": (("Website Contributor", scope), ("Monitoring Reader", scope)),
        "puller": (("Contributor", scope), ("AcrPull", registry)),
    }
    names = {
        **sites,
        "files": files,
        "fresh": sites["fresh"].registry,
        "subscription": cloud.local.subscription,
        "registry": plain.registry,
        "nobody": NOBODY,
        "digest": DIGEST,
        "key": KEY,
        "hub": cloud.local.registries["hub"],
        "component": component_id(plain),
    }
    return Place(cloud, sites, roles, names, {"owner": cloud.az}, Lock())


@pytest.fixture(scope="module")
def before(place: Place) -> dict[str, Any]:
    """What each site was before any command ran."""
    return {name: _snapshot(site) for name, site in place.sites.items()}


def _snapshot(site: Site) -> dict[str, Any]:
    return {"configuration": site.configuration(), "settings": site.settings()}


@pytest.fixture(scope="module")
def refusals(
    place: Place, before: dict[str, Any], request: pytest.FixtureRequest
) -> Iterator[Batch[Row, Answer]]:
    """The commands, two at a time."""
    batch = Batch(request.session, ROWS, place.run, workers=2)
    yield batch
    batch.close()


def _title(row: Row) -> str:
    return re.sub(r"\W+", "_", row.title)


@pytest.mark.parametrize(
    "row",
    rest_is_thorough(ROWS, lambda row: row not in IN_PROCESS or row.title in WITH_AZ),
    ids=_title,
)
def test_az_refuses_it(
    row: Row, refusals: Batch[Row, Answer], place: Place, before: dict[str, Any]
) -> None:
    answer = refusals.result(row)
    assert answer.returncode == row.status, answer.show()
    assert answer.stdout == "", answer.show()
    assert "Traceback" not in answer.stderr, answer.show()
    assert len(re.findall(r"ERROR:|: error:", answer.stderr)) == 1, answer.show()
    for text in row.says:
        assert place.fill(text) in answer.stderr, answer.show()
    for secret in (KEY, API_KEY, "not-a-guid-but-secret"):
        assert secret not in answer.stderr, answer.show()
    assert _snapshot(place.sites[row.site]) == before[row.site]


@pytest.mark.parametrize("refused", IN_PROCESS, ids=_title)
def test_it_is_refused(refused: Row, place: Place, before: dict[str, Any], caller: Session) -> None:
    row = refused  # `row` is for what runs with az
    ended = place.run_in_process(row, caller)
    assert ended.exit_status == row.status, ended.show()
    assert ended.said.count("ERROR:") == 1, ended.show()
    for text in row.says:
        assert place.fill(text) in ended.said, ended.show()
    for secret in (KEY, API_KEY, "not-a-guid-but-secret"):
        assert secret not in ended.said, ended.show()
    assert [write for write in ended.writes if not COLLECTOR_WRITE.search(write)] == []
    assert _snapshot(place.sites[row.site]) == before[row.site]


COLLECTOR_WRITE = re.compile(r"/importImage$|/v2/otelembed/")
"""Whether a collector image can be used shows only when it has been brought in."""


def test_no_refusal_has_written_anything_but_a_collector(
    refusals: Batch[Row, Answer], place: Place
) -> None:
    answers = refusals.wait()
    tried = {write for answer in answers for write in answer.writes}
    left = {write for write in tried if not COLLECTOR_WRITE.search(write)}
    assert left == set()
    # Nobody found out about a base without a shell by bringing a collector in for it.
    home = place.sites["scratch"].host
    assert {r["host"] for a in answers for r in a.requests if is_write(r)}.isdisjoint({home})


@pytest.fixture(scope="module")
def caller(cloud: Cloud) -> Iterator[Session]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "localhost,127.0.0.1")
        yield inprocess.session(cloud)


def _says(rows: tuple[tuple[str, str], ...]) -> list[str]:
    return [re.sub(r"\W+", "_", says) for says, _ in rows]


@pytest.fixture(scope="module")
def refused_site(cloud: Cloud) -> Site:
    """A site for what is refused before anything is asked of it."""
    return cloud.make_site(wait=False)


@pytest.mark.parametrize(("says", "name"), IMAGE_NAMES, ids=_says(IMAGE_NAMES))
def test_a_malformed_image_name_is_refused(
    says: str, name: str, refused_site: Site, caller: Session
) -> None:
    ended = inprocess.deploy(caller, refused_site, image=name)
    assert_input_refused(ended, "--image", says)


@pytest.mark.parametrize(("says", "name"), COLLECTOR_NAMES, ids=_says(COLLECTOR_NAMES))
def test_a_malformed_collector_image_name_is_refused(
    says: str, name: str, refused_site: Site, caller: Session
) -> None:
    ended = inprocess.deploy(caller, refused_site, collector_image=name)
    assert_input_refused(ended, "--collector-image", says)


@pytest.mark.parametrize(("says", "value"), CONNECTION_STRINGS, ids=_says(CONNECTION_STRINGS))
def test_a_connection_string_that_cannot_work_is_refused_and_not_repeated(
    says: str, value: str, refused_site: Site, caller: Session
) -> None:
    ended = inprocess.deploy(caller, refused_site, connection_string=value)
    assert_input_refused(ended, "--connection-string", says)
    assert KEY not in ended.said
    assert "secret" not in ended.said or says in value or "/secret/no/such/file" in says


def assert_input_refused(ended: Ended, option: str, says: str) -> None:
    """One message, about the option, and no write."""
    assert ended.exit_status == 1, ended.show()
    assert isinstance(ended.error, InvalidInput | InvalidImage)
    assert option in ended.error.message
    assert says in ended.error.message
    assert ended.writes == []
