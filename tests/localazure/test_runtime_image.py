"""Command, ports, user and program of a container: from image configuration and settings."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from localazure.runtime.context import Timing
from localazure.runtime.image import ConfigurationError, ImageConfig, candidate_ports
from localazure.runtime.reference import Reference
from localazure.runtime.rootfs import (
    RootfsError,
    User,
    find_program,
    find_user,
    inside,
    make_folders,
    put_file,
)


def parse(**config: Any) -> ImageConfig:
    """An image configuration with these fields."""
    return ImageConfig.parse(json.dumps({"config": config}).encode())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nginx", Reference("docker.io", "library/nginx", "latest")),
        ("otel/collector:1", Reference("docker.io", "otel/collector", "1")),
        ("localhost:5000/a/b:1.0", Reference("localhost:5000", "a/b", "1.0")),
        ("localhost:5000/a", Reference("localhost:5000", "a", "latest")),
        ("r.example/a:1@sha256:00", Reference("r.example", "a", "sha256:00")),
    ],
)
def test_references_are_parsed_as_in_docker(text: str, expected: Reference) -> None:
    assert Reference.parse(text) == expected


@pytest.mark.parametrize(
    ("entrypoint", "cmd", "startup", "expected"),
    [
        (["/e"], ["c"], "", ["/e", "c"]),
        (["/e"], ["c"], "run --it 'a b'", ["/e", "run", "--it", "a b"]),
        (None, ["/c"], "", ["/c"]),
        (None, ["/c"], "/s", ["/s"]),
        (["/e"], None, "", ["/e"]),
    ],
)
def test_a_startup_command_replaces_cmd(
    entrypoint: list[str] | None, cmd: list[str] | None, startup: str, expected: list[str]
) -> None:
    assert parse(Entrypoint=entrypoint, Cmd=cmd).command(startup) == expected


@pytest.mark.parametrize("startup", ["'open", ""])
def test_an_invalid_command_is_refused(startup: str) -> None:
    with pytest.raises(ConfigurationError):
        parse().command(startup)


def test_an_invalid_configuration_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        ImageConfig.parse(b"{")
    with pytest.raises(ConfigurationError, match="invalid signal"):
        parse(StopSignal="SIGNONE")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("SIGQUIT", signal.SIGQUIT), ("int", signal.SIGINT), ("10", 10), (None, signal.SIGTERM)],
)
def test_stop_signals_have_names_and_numbers(text: str | None, expected: int) -> None:
    assert parse(StopSignal=text).stop_signal == expected


@pytest.mark.parametrize(
    ("settings", "exposed", "expected"),
    [
        ({"WEBSITES_PORT": "1", "PORT": "2"}, ["3/tcp"], (1,)),
        ({"PORT": "2"}, ["3/tcp"], (2,)),
        ({"WEBSITES_PORT": "none", "PORT": "0"}, ["9", "3/tcp", "4/udp"], (3, 9)),
        ({}, [], (80, 8080)),
    ],
)
def test_ports_come_from_settings_then_the_image_then_defaults(
    settings: dict[str, str], exposed: list[str], expected: tuple[int, ...]
) -> None:
    config = parse(ExposedPorts={port: {} for port in exposed})
    assert candidate_ports(settings, config) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [("7", 7), ("0", 0), ("9999", 1800), ("soon", 230), ("-1", 230)]
)
def test_the_start_limit_is_a_setting_up_to_half_an_hour(value: str, expected: float) -> None:
    settings = {"WEBSITES_CONTAINER_START_TIME_LIMIT": value}
    assert Timing().start_time(settings) == expected


def test_the_stop_limit_is_five_seconds_and_at_most_120() -> None:
    assert Timing().stop_time({}) == 5
    assert Timing().stop_time({"WEBSITES_CONTAINER_STOP_TIME_LIMIT": "600"}) == 120


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A small unpacked image."""
    root = tmp_path / "image"
    for folder in ("etc", "usr/bin", "srv"):
        (root / folder).mkdir(parents=True)
    (root / "etc/passwd").write_text(
        "# users\nroot:x:0:0::/root:/bin/sh\nshop:x:7:8::/srv:/x\nx:\n"
    )
    (root / "etc/group").write_text("root:x:0:\nshop:x:8:\nextra:x:9:shop,other\nbad:x:n:\n")
    (root / "bin").symlink_to("/usr/bin")
    (root / "usr/bin/tool").write_text("")
    (root / "usr/bin/tool").chmod(0o755)
    (root / "usr/bin/data").write_text("")
    (root / "out").symlink_to("../../../etc")
    (root / "loop").symlink_to("loop")
    return root


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", User(0, 0, (), "/root")),
        ("shop", User(7, 8, (9,), "/srv")),
        ("7", User(7, 8, (9,), "/srv")),
        ("shop:extra", User(7, 9, (), "/srv")),
        ("55", User(55, 0, (), "/")),
        ("55:66", User(55, 66, (), "/")),
    ],
)
def test_users_are_looked_up_as_in_docker(image: Path, text: str, expected: User) -> None:
    assert find_user(image, text) == expected


@pytest.mark.parametrize("text", ["nobody", "shop:nobody"])
def test_an_unknown_user_or_group_is_refused(image: Path, text: str) -> None:
    with pytest.raises(RootfsError, match=r"no matching entries in (passwd|group) file"):
        find_user(image, text)


def test_paths_never_lead_out_of_the_image(image: Path) -> None:
    assert inside(image, "/bin/tool") == image / "usr/bin/tool"
    assert inside(image, "/out/passwd") == image / "etc/passwd"
    assert inside(image, "../../x") == image / "x"
    with pytest.raises(RootfsError, match="too many levels"):
        inside(image, "/loop")


def test_programs_are_looked_up_in_path(image: Path) -> None:
    assert find_program(image, "tool", "/sbin:/bin", "/") == "/bin/tool"
    assert find_program(image, "/bin/tool", "", "/") == "/bin/tool"
    assert find_program(image, "./tool", "", "/usr/bin") == "/usr/bin/tool"
    with pytest.raises(RootfsError, match="executable file not found in"):
        find_program(image, "data", "/bin", "/")
    with pytest.raises(RootfsError, match="permission denied"):
        find_program(image, "/bin/data", "/bin", "/")
    with pytest.raises(RootfsError, match="no such file or directory"):
        find_program(image, "/nowhere/tool", "/bin", "/")


def test_files_of_the_platform_do_not_change_the_images_folders(
    image: Path, tmp_path: Path
) -> None:
    (image / "etc").chmod(0o711)
    own = tmp_path / "own"
    own.mkdir()
    put_file(own, image, "/etc/hosts", b"here")
    assert (own / "etc/hosts").read_bytes() == b"here"
    assert (own / "etc").stat().st_mode & 0o777 == 0o711
    assert make_folders(own, image, "/bin/deep/er") == own / "usr/bin/deep/er"
    assert not (own / "bin").exists()
