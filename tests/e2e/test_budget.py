"""What an embed and a deploy cost, in HTTP requests and in bytes sent.

The issue says 20, 12 and 64 KB. A deploy that changes nothing has one more since: it reads the
container log, which shows whether the collector runs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import images
from tests.e2e.support import Answer, Cloud, Site

EMBED_REQUESTS = 20
EMBED_BYTES = 64 << 10
AGAIN_REQUESTS = 13
EMBEDDING = ("acr", "registry", "blob")
"""Azure's registries, public ones, their token servers and their storage."""
LARGE = 110
"""Megabytes of a large app image's layer."""


@pytest.fixture(scope="module")
def prepared(cloud: Cloud) -> Site:
    """A deployed site: its registry has the collector prepared from now on."""
    site = cloud.make_site()
    answer = site.deploy("--only-show-errors")
    assert answer.returncode == 0, answer.show()
    return site


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[str, Answer], None]:
    """Prints what a command cost (`pytest -s` shows it), and keeps it in a JUnit report."""

    def say(what: str, answer: Answer) -> None:
        embedding = [r for r in answer.requests if r["service"] in EMBEDDING]
        figures = {
            "requests": len(answer.requests),
            "embedding": len(embedding),
            "sent": sum(r["sent"] for r in embedding),
            "received": sum(r["received"] for r in embedding),
            "seconds": round(answer.seconds, 1),
        }
        record_property(what, figures)
        print(f"{what}: {figures}")

    return say


def costs(answer: Answer) -> tuple[int, int]:
    """Requests and bytes sent to registries and their storage, tokens and redirects included."""
    embedding = [r for r in answer.requests if r["service"] in EMBEDDING]
    assert embedding, answer.show()
    return len(embedding), sum(r["sent"] for r in embedding)


def asks_the_site(answer: Answer) -> bool:
    return any(r["service"] == "site" and r["status"] == 200 for r in answer.requests)


def test_an_embed_costs_few_requests_and_bytes(
    prepared: Site, make_site: Callable[..., Site], tell: Callable[[str, Answer], None]
) -> None:
    answer = make_site().deploy()
    assert answer.returncode == 0, answer.show()
    tell("embed", answer)
    requests, sent = costs(answer)
    assert requests <= EMBED_REQUESTS, answer.show()
    assert sent <= EMBED_BYTES, answer.show()


@pytest.mark.thorough
def test_an_embed_costs_the_same_for_a_large_app_image(
    prepared: Site,
    make_site: Callable[..., Site],
    tmp_path: Path,
    tell: Callable[[str, Answer], None],
) -> None:
    layer = images.noise(LARGE)
    assert len(layer.data) > LARGE << 20
    site = make_site(layout=images.variant(tmp_path, extra=[layer]))
    answer = site.deploy()
    assert answer.returncode == 0, answer.show()
    tell("embed of a large image", answer)
    requests, sent = costs(answer)
    assert requests <= EMBED_REQUESTS, answer.show()
    assert sent <= EMBED_BYTES, answer.show()
    assert sum(r["received"] for r in answer.requests) < 4 << 20, answer.show()


@pytest.mark.parametrize(
    "how", ["nothing", "--image", "--image and --app-insights", "the embedded --image"]
)
def test_deploying_again_costs_few_requests_and_writes_nothing(
    prepared: Site, tell: Callable[[str, Answer], None], how: str
) -> None:
    given: dict[str, list[str]] = {
        "nothing": [],
        "--image": ["--image", prepared.image()],
        "--image and --app-insights": [
            *("--image", prepared.image()),
            *("--app-insights", prepared.component or ""),
        ],
        "the embedded --image": ["--image", prepared.runs],
    }
    answer = prepared.deploy(*given[how])
    assert answer.returncode == 0, answer.show()
    tell(f"again with {how}", answer)
    result: dict[str, Any] = answer.json
    assert result["changed"] is False
    assert result["changes"] == []
    assert result["healthy"] is True
    assert answer.writes == []
    assert len(answer.requests) <= AGAIN_REQUESTS, answer.show()
    assert asks_the_site(answer), answer.show()


def test_status_costs_no_more_than_deploying_again(
    prepared: Site, tell: Callable[[str, Answer], None]
) -> None:
    answer = prepared.status()
    tell("status", answer)
    assert answer.json["healthy"] is True
    assert answer.writes == []
    # One more: the tag of the base is asked for what it stands for now, one its component.
    assert len(answer.requests) <= AGAIN_REQUESTS + 2, answer.show()
