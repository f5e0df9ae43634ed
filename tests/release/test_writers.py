"""Others who write to the site, at every request of a deploy; and deploys of it side by side."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import pytest

from azext_otelembed.errors import OtelembedError, Refused
from tests.e2e.support import IMAGES, SETTING, Cloud, Site
from tests.release.support import Contents, Ended, Hand, MakeSite, meanwhile, session_of, writes

pytestmark = pytest.mark.thorough

ROUNDS = 6
NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Asked:
    """One of a deploy's requests to ARM."""

    method: str
    path: str
    nth: int
    is_last_read: bool
    """Whether it is the read of the settings that the write follows from."""
    is_write: bool


@pytest.fixture(scope="module")
def requests(cloud: Cloud) -> list[Asked]:
    """The requests that a deploy makes to its own site in ARM, until it verifies."""
    site = cloud.make_site()
    hand = Hand(session_of(cloud.local, client="dry-run"))
    before = cloud.mark()
    assert hand.deploy(site).exit_status == 0
    found = [
        (r["method"], r["path"].partition(site.name)[2])
        for r in cloud.requests(before)
        if r["client"] == "dry-run" and site.name in r["path"] and r["service"] == "arm"
    ]
    patch = found.index(("PATCH", "/config/web"))
    write = found.index(("PUT", "/config/appsettings"))
    listing = ("POST", "/config/appsettings/list")
    read = max(at for at in range(write) if found[at] == listing)
    cloud.delete(site)
    asked = enumerate(found[: patch + 1])
    return [Asked(*one, found[:at].count(one) + 1, at == read, at == write) for at, one in asked]


@pytest.mark.thorough(minutes=3)
@pytest.mark.timeout(600)
def test_what_others_write_before_the_last_read_or_after_the_write_survives(
    requests: list[Asked], cloud: Cloud, hand: Hand
) -> None:
    """A writer at every request of a deploy, before it is handled and after.

    Between the last read and the write nothing can be seen: what falls there is lost, as the docs
    say. It is two places, both between those two requests.
    """
    lost: list[tuple[Asked, str]] = []
    for asked, after in itertools.product(requests, (False, True)):
        site = cloud.make_site(wait=False)
        number = next(NUMBERS)

        def change(site: Site = site, number: int = number) -> None:
            site.set(ADDED=str(number), SHOP_CURRENCY=f"C{number}", WEBSITES_PORT="8080")

        where = f"{site.name}{asked.path}$"
        with meanwhile(cloud, change, after=after, method=asked.method, path=where, nth=asked.nth):
            ended = hand.deploy(site)
        assert ended.exit_status == 0, ended
        settings = site.settings()
        survived = settings.get("ADDED") == str(number)
        assert survived == (settings["SHOP_CURRENCY"] == f"C{number}")
        if not survived:
            lost.append((asked, "after" if after else "before"))
        assert settings["PAYMENT_API_KEY"]
        assert SETTING in settings
        assert site.runs == ended.result["image"]["name"]
        cloud.delete(site)
    inside = [("after", one) for one in requests if one.is_last_read]
    inside += [("before", one) for one in requests if one.is_write]
    between = [one for one in lost if (one[1], one[0]) not in inside]
    # The image is read side by side with the settings.
    assert all(asked.path == "/config/web" and asked.method == "GET" for asked, _ in between), lost
    assert len(lost) <= 4, lost


def test_what_others_changed_meanwhile_is_told(site: Site, hand: Hand, cloud: Cloud) -> None:
    change = lambda: site.set(SHOP_CURRENCY="CHF")  # noqa: E731
    with meanwhile(cloud, change, path=f"{site.name}/containerlogs"):
        ended = hand.deploy(site)
    assert ended.exit_status == 0
    assert (
        "Another process changed app settings in the meantime, and they were kept: SHOP_CURRENCY."
        in (ended.said)
    )
    assert site.settings()["SHOP_CURRENCY"] == "CHF"


def test_another_writer_who_takes_our_setting_away_at_once_is_noticed(
    site: Site, hand: Hand, cloud: Cloud
) -> None:
    change = lambda: site.set(**{SETTING: None})  # noqa: E731
    put = {"method": "PUT", "path": f"{site.name}/config/appsettings"}
    with (
        meanwhile(cloud, change, after=True, **put),
        pytest.raises(OtelembedError, match="doesn't read back as it was written"),
    ):
        hand.deploy(site)
    assert SETTING not in site.settings()
    assert site.runs == site.image()
    assert hand.states(site) == ["failed"]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "{host}"),
        ("PUT", "/otelembed/releases/manifests/"),
        ("GET", "/otelembed/releases/referrers/"),
        ("POST", "{site}/containerlogs"),
        ("PUT", "{site}/config/appsettings"),
        ("PATCH", "{site}/config/web"),
        ("GET", "{site}/instances"),
    ],
)
def test_of_two_deploys_that_meet_one_wins_and_the_other_has_changed_nothing(
    site: Site, hand: Hand, cloud: Cloud, method: str, path: str, after: bool
) -> None:
    """The second one begins and ends while the first one waits at one of its requests."""
    site.push("2.0", IMAGES / "app", source="1.0")
    where = path.format(site=site.name, host=site.repository)
    outcomes: list[Ended | OtelembedError] = []
    second = Hand(session_of(cloud.local, client=f"second-{next(NUMBERS)}"))
    first = Hand(session_of(cloud.local, client=f"first-{next(NUMBERS)}"))
    before = cloud.mark()
    other = lambda: outcomes.append(outcome_of(site, second, "2.0"))  # noqa: E731
    with meanwhile(cloud, other, after=after, method=method, path=where):
        outcomes.append(outcome_of(site, first, None))
    one_wins(site, cloud, outcomes, before, [second, first])


@pytest.mark.thorough(minutes=3)
@pytest.mark.parametrize("referrers", [True, False], ids=["referrers", "fall-back"])
def test_of_deploys_at_the_very_same_time_one_wins(
    make_site: MakeSite, cloud: Cloud, referrers: bool
) -> None:
    """Each on a site that was never released; also where records have no API of their own."""
    registry = cloud.add_registry()
    cloud.local.change_registry(registry, referrers=referrers)
    for number in range(ROUNDS):
        site = make_site(registry=registry)
        tags = ["1.0", "2.0", "3.0"][: 2 + number % 2]
        for tag in tags[1:]:
            site.push(tag, IMAGES / "app", source="1.0")
        hands = [Hand(session_of(cloud.local, client=f"{site.name}-{tag}")) for tag in tags]
        start = threading.Barrier(len(tags))

        before = cloud.mark()
        with ThreadPoolExecutor(len(tags)) as pool:
            outcomes = list(pool.map(partial(outcome_of, site, start=start), hands, tags))
        one_wins(site, cloud, outcomes, before, hands)


def outcome_of(
    site: Site, hand: Hand, tag: str | None, start: threading.Barrier | None = None
) -> Ended | OtelembedError:
    """How a deploy ends that begins when all deploys of `start` do."""
    if start is not None:
        start.wait()
    try:
        return hand.deploy(site, image=site.image(tag) if tag else None)
    except OtelembedError as error:
        return error


def one_wins(
    site: Site, cloud: Cloud, outcomes: list[Ended | OtelembedError], before: int, hands: list[Hand]
) -> None:
    """One deploy released its image; the others were refused before they changed the site."""
    winners = [one for one in outcomes if isinstance(one, Ended)]
    assert len(winners) == 1, outcomes
    assert winners[0].exit_status == 0, winners
    assert site.runs == winners[0].result["image"]["name"]
    site.answers()
    releases = Contents(cloud, site.host).releases(site)
    states = [release.state for release in releases]
    assert states.count("succeeded") == 1, states
    assert set(states) <= {"succeeded", "withdrawn", "failed"}, states
    asked = cloud.requests(before)
    for outcome, hand in zip(outcomes, hands, strict=True):
        if isinstance(outcome, OtelembedError):
            assert isinstance(outcome, Refused), outcome.message
            assert outcome.exit_status == 1
            assert "Nothing was changed" in outcome.message
            client = hand.session.transport["session"].headers["x-localazure-client"]
            assert not writes(r for r in asked if r["client"] == client)
