"""What runs on the sites that a caller can see, and what can't be read of them."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from azext_otelembed.azure.session import Session
from azext_otelembed.errors import AzureFailed, NotFound
from azext_otelembed.parallel import MAX_CONCURRENT
from azext_otelembed.prune.deployed_images import DeployedImages, find_deployed_images
from tests.e2e.support import Cloud
from tests.release.support import session_of

SHOP = "r.azurecr.io/shop:1.0"
PINNED = f"r.azurecr.io/shop@sha256:{'0' * 64}"
FORBIDDEN = {"error": {"code": "AuthorizationFailed", "message": "You may not."}}


@dataclass(eq=False)
class Estate:
    """A subscription of its own, with one group and one reader."""

    cloud: Cloud
    name: str = field(default_factory=lambda: f"estate-{uuid.uuid4().hex[:8]}")
    reader: str = field(default_factory=lambda: str(uuid.uuid4()))
    id: str = ""

    def __post_init__(self) -> None:
        self.id = self.cloud.local.add_subscription(self.name, [self.name])

    def add(self, name: str, version: str = "", **spec: Any) -> str:
        """A site that runs what linuxFxVersion says, were it not stopped; returns its ARM id."""
        spec = {"name": f"{self.name}-{name}", "group": self.name, "state": "Stopped", **spec}
        config = {"linuxFxVersion": version}
        return str(self.cloud.local.add_site({"config": config, **spec})["id"])

    @property
    def path(self) -> str:
        """Where its sites are listed."""
        return f"/subscriptions/{self.id}/providers/Microsoft.Web/sites"

    def listed(self, path: str) -> Any:
        """What a GET answers its reader."""
        with self.cloud.local.http() as http:
            bearer = {"authorization": f"Bearer {self.session().arm_token()}"}
            address = f"{self.cloud.local.management}{path}?api-version=2024-11-01"
            return http.get(address, headers=bearer).raise_for_status().json()

    def session(self, *others: Estate) -> Session:
        """A caller who reads this subscription and others."""
        roles = [{"role": "Reader", "scope": f"/subscriptions/{one.id}"} for one in (self, *others)]
        self.cloud.local.add_principal(self.reader, "secret", roles)
        token = self.cloud.local.token(client_id=self.reader, secret="secret")
        return session_of(self.cloud.local, token, subscription=self.id)

    def look(self) -> tuple[dict[str, tuple[str, ...]], list[str]]:
        """What runs, by the sites' names here, and what can't be read."""
        found = find_deployed_images(self.session())
        group = f"/subscriptions/{self.id}/resourceGroups/{self.name}"
        start = f"{group}/providers/Microsoft.Web/sites/{self.name}-"
        images = {site.removeprefix(start): one for site, one in found.images.items()}
        return images, [name.replace(f"{self.name}-", "") for name, _ in found.unreadable]


@pytest.fixture
def estate(cloud: Cloud) -> Iterator[Estate]:
    """A subscription, with no faults left set."""
    yield Estate(cloud)
    cloud.local.clear_faults()


def test_sites_and_their_slots_run_what_they_are_configured_to(estate: Estate) -> None:
    estate.add("plain", f"DOCKER|{SHOP}")
    estate.add("plain", f"DOCKER|{PINNED}", slot="staging")
    estate.add("code", "NODE|22-lts")
    estate.add("new")
    estate.add("odd", "DOCKER|https://r.azurecr.io/Shop:1")
    images, unread = estate.look()
    assert images == {
        "plain": (SHOP,),
        "plain/slots/staging": (PINNED,),
        "code": (),
        "new": (),
        "odd": ("https://r.azurecr.io/Shop:1",),
    }
    assert unread == []


def test_all_containers_of_a_site_count_the_one_without_an_image_too(estate: Estate) -> None:
    documents: dict[str, Any] = {
        "sitecontainers/main": {"image": SHOP, "isMain": True},
        "sitecontainers/sidecar": {"image": "redis", "isMain": False},
        "sitecontainers/bare": {"isMain": False},
    }
    estate.add("several", "sitecontainers", documents=documents)
    images, unread = estate.look()
    assert sorted(images["several"]) == ["", SHOP, "redis"]
    assert unread == []


def test_the_images_of_a_compose_file_count_and_one_that_can_not_be_read_is_told(
    estate: Estate,
) -> None:
    text = f"services: {{web: {{image: '{SHOP}'}}, cache: {{image: redis}}}}"
    estate.add("compose", f"COMPOSE|{base64.b64encode(text.encode()).decode()}")
    estate.add("broken", "COMPOSE|dmVyc2lvbg==")
    images, unread = estate.look()
    assert images["compose"] == (SHOP, "redis")
    assert unread == ["'broken'"]


def test_where_a_list_does_not_tell_the_image_the_configuration_does(estate: Estate) -> None:
    site = estate.add("plain", f"DOCKER|{SHOP}")
    estate.add("plain", f"DOCKER|{PINNED}", slot="staging")
    estate.add("windows", kind="app")
    for path in (estate.path, f"{site}/slots"):
        listed = estate.listed(path)
        for one in listed["value"]:
            one["properties"]["siteConfig"] = {"linuxFxVersion": None}
        estate.cloud.local.fault(path=f"{path}$", status=200, body=listed)
    before = estate.cloud.mark()
    assert estate.look()[0] == {"plain": (SHOP,), "plain/slots/staging": (PINNED,), "windows": ()}
    asked = [r["path"] for r in estate.cloud.requests(before) if r["service"] == "arm"]
    assert [path for path in asked if "windows" in path and "slots" not in path] == []


@pytest.mark.parametrize(
    ("path", "unread", "seen"),
    [
        ("{path}$", "subscription '{id}'", set()),
        ("-one/slots$", "'one'", {"one", "two"}),
        ("-one/config/web$", "'one'", {"one/slots/staging", "two"}),
        ("-one/slots/staging/sitecontainers$", "'one/staging'", {"one", "two"}),
    ],
)
@pytest.mark.parametrize("status", [403, 404])
def test_what_can_not_be_read_is_told_and_everything_else_is_seen(
    estate: Estate, path: str, unread: str, seen: set[str], status: int
) -> None:
    estate.add("one")
    estate.add("one", "SITECONTAINERS", slot="staging")
    estate.add("two", f"DOCKER|{SHOP}")
    pattern = path.format(path=estate.path)
    estate.cloud.local.fault(path=pattern, status=status, body=FORBIDDEN, times=0)
    images, told = estate.look()
    assert told == [unread.format(id=estate.id)]
    assert set(images) == seen


def test_a_subscription_that_is_gone_runs_nothing(estate: Estate) -> None:
    estate.add("one", f"DOCKER|{SHOP}")
    gone = {"error": {"code": "SubscriptionNotFound", "message": "It could not be found."}}
    estate.cloud.local.fault(path=f"{estate.path}$", status=404, body=gone, times=0)
    assert estate.look() == ({}, [])


@pytest.mark.parametrize("body", ["", "<html>Not Found</html>", {"detail": "Not Found"}])
def test_a_404_that_is_not_of_azure_does_not_mean_that_a_subscription_is_gone(
    estate: Estate, body: Any
) -> None:
    estate.add("one", f"DOCKER|{SHOP}")
    estate.cloud.local.fault(path=f"{estate.path}$", status=404, body=body)
    with pytest.raises(NotFound, match=estate.id):
        estate.look()


@pytest.mark.parametrize("path", ["{path}$", "-one/sitecontainers$"])
def test_one_empty_answer_does_not_mean_that_nothing_runs(estate: Estate, path: str) -> None:
    documents = {"sitecontainers/main": {"image": SHOP, "isMain": True}}
    estate.add("one", "sitecontainers", documents=documents)
    pattern = path.format(path=estate.path)
    estate.cloud.local.fault(path=pattern, status=200, body={"value": []})
    assert estate.look() == ({"one": (SHOP,)}, [])


def test_what_fails_otherwise_ends_the_look(estate: Estate) -> None:
    site = estate.add("one", f"DOCKER|{SHOP}")
    body = {"Code": "BadRequest", "Message": "It is broken."}
    estate.cloud.local.fault(path=f"{site}/slots$", status=400, body=body)
    with pytest.raises(AzureFailed, match="It is broken"):
        estate.look()


def test_a_subscription_that_never_had_web_apps_runs_nothing(estate: Estate) -> None:
    error = {"code": "MissingSubscriptionRegistration", "message": "Not registered."}
    estate.cloud.local.fault(path=f"{estate.path}$", status=409, body={"error": error})
    assert estate.look() == ({}, [])


def test_all_subscriptions_that_the_caller_can_see_are_looked_at(estate: Estate) -> None:
    seen, hidden = Estate(estate.cloud), Estate(estate.cloud)
    sites = {one: one.add("plain", f"DOCKER|{SHOP}") for one in (estate, seen, hidden)}
    running = find_deployed_images(estate.session(seen))
    assert running == DeployedImages({sites[estate]: (SHOP,), sites[seen]: (SHOP,)})


def test_many_sites_are_asked_side_by_side_but_not_all_at_once(estate: Estate) -> None:
    count = 3 * MAX_CONCURRENT
    for number in range(count):
        estate.add(f"{number}", f"DOCKER|{SHOP}")
    session = estate.session()
    estate.cloud.local.fault(service="arm", path=f"{estate.name}.*/slots$", latency=0.1, times=0)
    before = estate.cloud.mark()
    assert len(find_deployed_images(session).images) == count
    asked = [r for r in estate.cloud.requests(before) if r["service"] == "arm"]
    assert len(asked) == 2 + count, "subscriptions, sites, and each one's slots"
    slots = [r for r in asked if r["path"].endswith("/slots")]
    starts = [r["time"] for r in slots]
    at_once = [sum(0 <= start - r["time"] < r["seconds"] for r in slots) for start in starts]
    assert MAX_CONCURRENT / 2 <= max(at_once) <= MAX_CONCURRENT
