"""The program of the entrypoint is the image's file, also where the shell has one of that name."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from azext_otelembed.image.launcher import START_LINE, Launcher
from tests.launchers.first_process import HEALTHY, every_shell, installed, started, wrapped

# The first are applets of Debian's busybox, the others builtins of shells.
NAMES = ("httpd", "env", "crontab", "watchdog", "sh", "sleep", "echo", "test", "true", "kill")

both = pytest.mark.parametrize(
    "launcher", [Launcher(), Launcher("drain", grace=0)], ids=lambda launcher: launcher.kind
)


def add(folder: Path, name: str) -> None:
    """A program that writes its name and arguments."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text('#!/bin/sh\necho "own ${0##*/} $*"; exit 7\n')
    (folder / name).chmod(0o755)


def outcome(words: list[str], folder: Path, **environment: str) -> tuple[int, list[str]]:
    """The exit status of PID 1, and what it wrote after the start line."""
    with started(words, folder, **environment) as running:
        status = running.status
        first, *lines = running.lines()
        assert START_LINE.fullmatch(first)
        return status, lines


@every_shell
@both
def test_the_images_own_program_runs_and_not_the_shells(
    shell: str, launcher: Launcher, tmp_path: Path
) -> None:
    own = tmp_path / "programs"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "httpd").mkdir()  # a folder is no program
    path = f"{tmp_path}/missing:{tmp_path}/other:{own}:{os.defpath}"
    for name in NAMES:
        add(own, name)
    for name in NAMES:
        words = wrapped([name, "a b", ""], launcher, shell, HEALTHY, tmp_path)
        assert outcome(words, tmp_path, PATH=path) == (7, [f"own {name} a b "]), name


@every_shell
@both
def test_a_program_that_the_image_lacks_is_not_found_though_the_shell_has_one(
    shell: str, launcher: Launcher, tmp_path: Path
) -> None:
    for name in ("httpd", "echo"):
        words = wrapped([name], launcher, shell, HEALTHY, tmp_path)
        found = outcome(words, tmp_path, PATH=str(tmp_path))
        assert found == (127, [f"otelembed: {name}: not found"])


@every_shell
@both
def test_any_other_program_is_called_by_the_name_in_the_entrypoint(
    shell: str, launcher: Launcher, tmp_path: Path
) -> None:
    own = tmp_path / "programs"
    own.mkdir()
    shutil.copy(installed("cat"), own / "my-app")
    words = wrapped(["my-app", "/proc/self/cmdline"], launcher, shell, HEALTHY, tmp_path)
    status, lines = outcome(words, tmp_path, PATH=str(own))
    assert (status, lines) == (0, ["my-app\0/proc/self/cmdline\0"])


@both
def test_an_empty_part_of_path_is_the_working_directory(launcher: Launcher, tmp_path: Path) -> None:
    add(tmp_path, "httpd")
    for path in ("", ":/missing", "/missing:"):
        words = wrapped(["httpd"], launcher, "busybox", HEALTHY, tmp_path)
        assert outcome(words, tmp_path, PATH=path) == (7, ["own httpd "])
