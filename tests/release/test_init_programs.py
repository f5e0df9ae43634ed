"""`deploy` and `build` with `--launcher drain` for an app that works only as process 1."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from azext_otelembed.console import Console
from azext_otelembed.errors import Refused
from azext_otelembed.image.launcher import Launcher
from azext_otelembed.release.build import build
from tests.e2e import images
from tests.release.support import Hand, MakeSite, request_of, writes

DRAIN = Launcher("drain")


def test_an_app_that_needs_to_be_process_1_is_refused_before_anything_is_written(
    make_site: MakeSite, hand: Hand, tmp_path: Path
) -> None:
    site = make_site()
    site.push("init", images.variant(tmp_path, Entrypoint=["/sbin/init"], Cmd=[]), source="1.0")
    image = f"{site.host}/{site.repository}:init"
    local = site.cloud.local
    mark = local.mark()
    for dry_run in (True, False):
        with pytest.raises(Refused, match="starts `/sbin/init`, which runs as process 1 only"):
            hand.deploy(site, image=image, launcher=DRAIN, dry_run=dry_run)
    console = Console(quiet=True, stream=io.StringIO())
    with pytest.raises(Refused, match="process 1 only"):
        build(hand.session, image, None, request_of(launcher=DRAIN).embed, None, console)
    site.configure(appCommandLine="/sbin/init")
    with pytest.raises(Refused, match="The startup command of "):
        hand.deploy(site, launcher=DRAIN)
    requests = local.requests(mark)
    to_registry = [r for r in requests if r["service"] == "acr" and r["path"].startswith("/v2/")]
    assert {request["method"] for request in to_registry} <= {"GET", "HEAD"}
    assert len(writes(requests)) == 1  # `configure`
