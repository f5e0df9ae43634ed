"""Entrypoints that work only as process 1 are refused with `drain`, and no others."""

from __future__ import annotations

from typing import Any

import pytest

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image.dockerfile_template import App, make_dockerfile
from azext_otelembed.image.embed import Base, check_base, embed
from azext_otelembed.image.launcher import Launcher
from tests.unit.image.image_support import CONFIG, UPSTREAM, base, collector, config_document

DRAIN = Launcher("drain")
S6_STEP = "ADD https://example.org/s6-overlay/releases/download/v3.2.0.2/s6-overlay-noarch.tar.xz"
OLD_STEPS = (
    "ADD https://example.org/s6-overlay/releases/download/v2.2.0.3/s6-overlay-amd64.tar.gz /tmp/",
    "ENV S6_OVERLAY_VERSION=v1.22.1.0",
    "RUN |1 S6_OVERLAY_VERSION=2.1.0.2 /bin/sh -c curl …",
)


def with_steps(*steps: str, **settings: Any) -> Base:
    """An image whose history has build steps."""
    document = config_document(**settings)
    document["history"] += [{"created_by": step, "empty_layer": True} for step in steps]
    return base(document=document)


@pytest.mark.parametrize(
    ("settings", "program"),
    [
        ({"Cmd": ["/sbin/init"]}, "/sbin/init"),
        ({"Entrypoint": ["/sbin/init"], "Cmd": ["3"]}, "/sbin/init"),
        ({"Entrypoint": ["init"]}, "init"),
        ({"Cmd": ["/bin/busybox", "init"]}, "/bin/busybox init"),
        ({"Entrypoint": ["busybox"], "Cmd": ["init"]}, "busybox init"),
        ({"Cmd": ["/lib/systemd/systemd", "--system"]}, "/lib/systemd/systemd"),
        ({"Cmd": ["/usr/sbin/init"]}, "/usr/sbin/init"),
        ({"Cmd": ["sh", "-c", "mkdir -p /run/x && exec /sbin/init"]}, "/sbin/init"),
        ({"Entrypoint": ["env", "A=b"], "Cmd": ["/sbin/init"]}, "/sbin/init"),
        ({"Entrypoint": ["/init"], "Env": ["S6_KEEP_ENV=1"]}, "/init of s6-overlay"),
        ({"Cmd": ["/init"], "Env": ["PATH=/bin", "S6_VERBOSITY=1"]}, "/init of s6-overlay"),
    ],
)
def test_a_program_that_needs_to_be_process_1_is_refused_with_drain_only(
    settings: dict[str, Any], program: str
) -> None:
    image = base(**settings)
    with pytest.raises(InvalidImage) as refused:
        check_base(image, DRAIN)
    assert f"shop:1.0 starts `{program}`, which runs as process 1 only" in refused.value.message
    assert "Omit --launcher drain" in str(refused.value.recommendation)
    with pytest.raises(InvalidImage):
        embed(image, collector(), CONFIG, DRAIN)
    check_base(image, Launcher())
    embed(image, collector(), CONFIG, Launcher())


def test_s6_overlay_is_seen_in_the_build_steps() -> None:
    with pytest.raises(InvalidImage, match="/init of s6-overlay"):
        check_base(with_steps(S6_STEP, Entrypoint=["/init"]), DRAIN)


@pytest.mark.parametrize("step", OLD_STEPS)
def test_an_earlier_s6_overlay_runs_as_any_process(step: str) -> None:
    check_base(with_steps(step, Entrypoint=["/init"]), DRAIN)


@pytest.mark.parametrize(
    "settings",
    [
        {"Entrypoint": ["/app/init"]},
        {"Entrypoint": ["/init"]},  # of any other kind
        {"Entrypoint": ["/sbin/my_init"]},
        {"Entrypoint": ["/docker-entrypoint.sh"], "Cmd": ["init"]},
        {"Entrypoint": ["/app"], "Env": ["S6_VERBOSITY=1"]},
        {"Cmd": ["tini", "--", "node", "init"]},
        {"Cmd": ["busybox", "httpd", "-f"]},
        {"Cmd": ["sh", "-c", "npm run init && exec node server.js"]},
        {"Cmd": ["sh", "-c", "it's unreadable"]},
    ],
)
def test_other_programs_are_accepted(settings: dict[str, Any]) -> None:
    check_base(base(**settings), DRAIN)


def test_a_dockerfile_with_drain_is_refused_as_well() -> None:
    image = base(Entrypoint=["/init"], Env=["S6_VERBOSITY=1"])
    app = App("shop:1", ["/init"], [], config=image.config)
    for each in (app, App(None, [], ["/sbin/init"])):
        with pytest.raises(InvalidImage, match="process 1 only"):
            make_dockerfile(UPSTREAM, CONFIG, DRAIN, each)
        make_dockerfile(UPSTREAM, CONFIG, Launcher(), each)
