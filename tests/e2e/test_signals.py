"""INT and TERM in the middle of a deploy: a line that says where things stand, and a way on."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.support import SETTING, Cloud, Site

PROMPT = 4.0
"""Seconds after which an interrupted command has to be gone."""

UNTOUCHED = "nothing was changed"
MOMENTS: dict[str, tuple[dict[str, Any], signal.Signals, str]] = {
    "observing": (
        {"service": "arm", "method": "GET", "path": "/config/web$"},
        signal.SIGINT,
        UNTOUCHED,
    ),
    "reading the image": (
        {"service": "acr", "path": "/v2/apps/.*/manifests/"},
        signal.SIGTERM,
        UNTOUCHED,
    ),
    "importing": (
        {"service": "arm", "method": "POST", "path": "/importImage$"},
        signal.SIGINT,
        "the collector may have been copied to the registry; the site is unchanged",
    ),
    "uploading": (
        {"service": "acr", "method": "PUT", "path": "/v2/apps/.*/blobs/uploads/"},
        signal.SIGTERM,
        "the registry may hold parts of the new image; the site is unchanged",
    ),
    "recording": (
        {"service": "acr", "method": "PUT", "path": "/v2/otelembed/releases/manifests/sha256"},
        signal.SIGINT,
        "is unchanged; its pending release may be recorded: the same command resumes it",
    ),
    "writing the settings": (
        {"service": "arm", "method": "PUT", "path": "/config/appsettings$", "hold_after": True},
        signal.SIGINT,
        f"the app setting {SETTING} of .* may or may not be set; its image is unchanged",
    ),
    "switching the image": (
        {"service": "arm", "method": "PATCH", "path": "/config/web$"},
        signal.SIGTERM,
        "may or may not run the new image yet; restore the old one with `az webapp config",
    ),
    "verifying": (
        {"service": "site", "nth": 2},
        signal.SIGINT,
        "was changed and not verified yet; verify it with `az otelembed wait -g .* -n .*`, or "
        "restore the old image with `az webapp config container set -g ",
    ),
}


@pytest.fixture(scope="module")
def half_done(cloud: Cloud) -> Site:
    """A site in a registry without a collector: each test brings it a little further."""
    return cloud.make_site(registry=cloud.add_registry())


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_signal_ends_it_promptly_with_a_line_that_tells_where_things_stand(
    cloud: Cloud, half_done: Site, moment: str
) -> None:
    where, number, standing = MOMENTS[moment]
    fault = {"hold": not where.get("hold_after"), **where}
    before = cloud.mark()
    with cloud.fault(**fault):
        process = cloud.az.popen("otelembed", "deploy", *half_done.arguments)
        cloud.until_held(process, before)
        process.send_signal(number)
        began = time.monotonic()
        time.sleep(0.1)
        # A person who presses Ctrl-C twice must not lose the line.
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=30)
        took = time.monotonic() - began
    assert process.returncode == 128 + number, stderr
    assert "Traceback" not in stderr
    assert stdout == ""
    *_, last = stderr.strip().splitlines()
    assert re.match(rf"otelembed: {number.name} received: .*{standing}", last), stderr
    assert standing == UNTOUCHED or "the same command" in last or "`az otelembed " in last
    assert took < PROMPT
    if standing == UNTOUCHED or "site is unchanged" in standing:
        assert half_done.runs == half_done.image()
        assert SETTING not in half_done.settings()


def test_running_it_again_finishes_what_was_interrupted(half_done: Site) -> None:
    answer = half_done.deploy()
    assert answer.returncode == 0, answer.show()
    assert answer.json["healthy"] is True
    assert answer.json["seconds"]["verify"] < 30, "the log of the interrupted run counts"
    assert half_done.runs == answer.json["image"]["name"]
    assert half_done.get("/spans?n=1").json() == {"spans": 1}
    assert half_done.status("--check", "--wait", "60").returncode == 0


def test_a_status_that_is_interrupted_says_that_nothing_was_changed(
    cloud: Cloud, make_site: Callable[..., Site]
) -> None:
    site = make_site(wait=False)
    before = cloud.mark()
    with cloud.fault(service="arm", path="/instances$", hold=True):
        process = cloud.az.popen("otelembed", "status", *site.arguments)
        cloud.until_held(process, before)
        process.terminate()
        stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 143, stderr
    assert stderr.splitlines()[-1] == "otelembed: SIGTERM received: nothing was changed."
    assert stdout == ""
