"""Recognises an entrypoint that works only as process 1, and refuses it with the launcher `drain`.

With `drain`, process 1 is the launcher's shell. These programs end at once where they aren't
process 1:

- busybox's `init`: "init: must be run as PID 1" (seen with busybox 1.35);
- systemd: a system instance is process 1 only (systemd/systemd#12843);
- the `/init` of s6-overlay from version 3 on, "can only run as pid 1"; versions 1 and 2 run as any
  process (just-containers/s6-overlay#383).

`/sbin/init` is one of the first two, or an init of a distribution that likewise is process 1.
"""

from __future__ import annotations

import posixpath
import re

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image.existing_collector import StartCommand, start_programs
from azext_otelembed.image.image_config import ImageConfig
from azext_otelembed.image.launcher import Launcher

S6_INIT = "/init"
_NAMES = {"init", "systemd", "openrc-init", "runit-init", "s6-overlay-suexec"}
# A program `init` elsewhere, as in /app/init, is the image's own.
_FOLDERS = {"", "/bin", "/sbin", "/usr/bin", "/usr/sbin", "/lib/systemd", "/usr/lib/systemd"}
_S6 = re.compile(r"s6-overlay|(?:^|\s)S6_[A-Z_]+=", re.ASCII)
_OLD_S6 = re.compile(r"s6[-_]overlay\S{0,60}?[/_=\s\"']v?[12]\.\d", re.ASCII | re.IGNORECASE)


def _find_init(start: StartCommand) -> str | None:
    """The program of a start command that works only as process 1; None if there is none."""
    for words in start_programs(start):
        folder, name = posixpath.split(words[0])
        if name in _NAMES and folder in _FOLDERS:
            return words[0]
        if name == "busybox" and words[1:2] in (["init"], ["linuxrc"]):
            return " ".join(words[:2])
    return None


def starts_s6_init(start: StartCommand) -> bool:
    """Whether a start command has the path of s6-overlay's `/init`."""
    return any(words[0] == S6_INIT for words in start_programs(start))


def shows_s6_overlay(config: ImageConfig) -> bool | None:
    """Whether an image's variables and build steps show that it has s6-overlay 3 or later.

    None if they don't show any s6-overlay.
    """
    steps = [str(entry.get("created_by") or "") for entry in config.history]
    text = "\n".join([*map(str, config.settings.get("Env") or ()), *steps])
    if not _S6.search(text):
        return None
    return _OLD_S6.search(text) is None


def check_init(
    name: str, start: StartCommand, launcher: Launcher, config: ImageConfig | None = None
) -> None:
    """Raises InvalidImage if `start` needs to be process 1, and the launcher is `drain`.

    `name` names the image or command for the message; without `config`, s6-overlay isn't detected.
    """
    if launcher.kind != "drain":
        return
    found = _find_init(start)
    if found is None and config is not None and starts_s6_init(start) and shows_s6_overlay(config):
        found = f"{S6_INIT} of s6-overlay"
    if found is not None:
        raise refusal(name, found)


def refusal(name: str, program: str) -> InvalidImage:
    """The error for a program that works only as process 1."""
    return InvalidImage(
        f"{name} starts `{program}`, which runs as process 1 only. With --launcher drain, process "
        "1 is the launcher's shell, so the container would fail to start.",
        "Omit --launcher drain: with the launcher exec, the program is process 1. docs/launchers.md"
        " has which program needs which launcher.",
    )
