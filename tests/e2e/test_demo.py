"""`make demo` as a person runs it, and what else az does to the container that runs there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from localazure.client import ROOT
from tests.e2e.support import Site, eventually


def test_the_demo_shows_a_request_in_application_insights_that_was_not_there_before(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "localazure.demo", str(tmp_path / "demo")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    before, deploy, after, status = re.split(r"^[2-4]  ", done.stdout, flags=re.MULTILINE)
    assert re.search(r"^shop +Running +DOCKER\|localhost:\d+/shop:1\.0$", before, re.MULTILINE)
    assert "HTTP 200  Hello from the shop." in before
    assert "Application Insights has received 0 requests." in before
    assert re.search(r"^changed: true$", deploy, re.MULTILINE)
    assert re.search(r"^healthy: true$", deploy, re.MULTILINE)
    assert re.search(
        r"^image: localhost:\d+/shop:1\.0-otelembed-[0-9a-f]{12}$", deploy, re.MULTILINE
    )
    assert "HTTP 200  Hello from the shop." in after
    received = re.search(r"received (\d+) requests?, the newest:\n +(.*)", after)
    assert received
    assert int(received[1]) > 0
    assert received[2].split() == ["GET", "/", "200", "shop"]
    assert '"healthy": true' in status
    steps = re.findall(r"^otelembed: (\w+): ", done.stderr, re.MULTILINE)
    assert {"observe", "plan", "embed", "apply", "verify"} <= set(steps)


def test_az_webapp_restart_starts_another_container(site: Site) -> None:
    site.answers()
    started = site.log().count("Site started.")
    done = site.cloud.az.run("webapp", "restart", *site.arguments)
    assert done.returncode == 0, done.stderr
    eventually(lambda: site.log().count("Site started.") > started)
    eventually(lambda: f"Site: {site.name} stopped." in site.log())
    site.answers()
