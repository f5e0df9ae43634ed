"""What a deploy says about the site's startup command and about settings of telemetry."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from azext_otelembed.errors import Refused
from tests.e2e import images
from tests.e2e.support import Cloud
from tests.release.support import Hand, writes


def test_a_site_whose_startup_command_starts_a_collector_is_refused_unchanged(
    cloud: Cloud, hand: Hand
) -> None:
    site = cloud.make_site(wait=False)
    site.configure(appCommandLine="sh -c 'otelcol --config=/c.yml & exec /usr/local/bin/shop'")
    before, mark = site.runs, cloud.mark()
    with pytest.raises(Refused, match="starts a collector already") as refused:
        hand.deploy(site)
    command = f"az webapp config set {' '.join(site.arguments)} --startup-file /usr/local/bin/shop"
    assert command in str(refused.value.recommendation)
    assert site.runs == before
    assert writes(cloud.requests(mark)) == []
    site.configure(appCommandLine=shlex.split(command)[-1])
    assert hand.deploy(site, dry_run=True).exit_status == 0


def test_settings_that_keep_telemetry_from_the_collector_are_noted_and_refuse_nothing(
    cloud: Cloud, hand: Hand, tmp_path: Path
) -> None:
    elsewhere = ["OTEL_EXPORTER_OTLP_ENDPOINT=http://collector.acme.io:4318", "PATH=/bin"]
    site = cloud.make_site(
        wait=False,
        layout=images.variant(tmp_path / "elsewhere", Env=elsewhere),
        settings={"OTEL_SDK_DISABLED": "true", "DOCKER_ENABLE_CI": "true"},
    )
    said = hand.deploy(site, dry_run=True).said
    arguments = " ".join(site.arguments)
    text = " ".join(said.split())
    for note in (
        f"appsettings delete {arguments} --setting-names OTEL_SDK_DISABLED`",
        "sets OTEL_EXPORTER_OTLP_ENDPOINT (ENV), which isn't localhost",
        "DOCKER_ENABLE_CI=true: a push of",
    ):
        assert note in text
