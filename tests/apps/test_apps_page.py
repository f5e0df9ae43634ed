"""Apps with the lines of docs/apps.md and the real SDKs: what they send arrives."""

from __future__ import annotations

import functools
import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.apps import app_images
from tests.apps.sources import LOGGED
from tests.e2e.support import Site, eventually

MakeApp = Callable[[Path], Path]
APPS: dict[str, MakeApp] = {
    "Flask": functools.partial(app_images.python, "Flask"),
    "Django": functools.partial(app_images.python, "Django"),
    "FastAPI": functools.partial(app_images.python, "FastAPI"),
    "Node.js": app_images.node,
    "Go": app_images.go,
    "Rails": app_images.rails,
}
QUICK = {"OTEL_METRIC_EXPORT_INTERVAL": "1000", "OTEL_BSP_SCHEDULE_DELAY": "500"}
"""App settings that shorten the test's wait."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name == "Go" else pytest.mark.thorough) for name in APPS],
)
def test_requests_logs_and_metrics_arrive_with_the_name_and_the_release_of_the_site(
    make_site: Callable[..., Site], tmp_path: Path, name: str
) -> None:
    site = make_site(layout=APPS[name](tmp_path), settings=QUICK)
    answer = site.deploy("--wait-for-telemetry", "60", "--require-telemetry")
    assert answer.returncode == 0, answer.show()
    recipe = answer.json["image"]["name"].rpartition("-otelembed-")[2]

    assert site.get("/orders/7").status_code == 200
    orders = eventually(lambda: having("orders", rows(site)["RequestData"]), within=40)
    late = eventually(lambda: having(LOGGED, rows(site)["MessageData"]), within=40)
    metrics = eventually(lambda: rows(site)["MetricData"], within=40)
    operations = {one["tags"]["ai.operation.id"] for one in orders}
    assert operations & {one["tags"].get("ai.operation.id") for one in late}, late
    for one in [*orders, *late, *metrics]:
        assert one["tags"]["ai.cloud.role"] == site.name
        assert one["data"]["baseData"]["properties"]["otelembed.recipe"] == recipe


def rows(site: Site) -> dict[str, list[dict[str, Any]]]:
    """What the site's component has received, by the kind of row."""
    key = site.cloud.connection_string(str(site.component)).split(";")[0].partition("=")[2]
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in site.cloud.local.telemetry():
        if one["iKey"] == key:
            found[one["data"]["baseType"]].append(one)
    return found


def having(text: str, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with a text in their data."""
    return [one for one in found if text in json.dumps(one["data"])]
