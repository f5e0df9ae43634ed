"""What `/app/facts` tells of the container that it runs in."""

from __future__ import annotations

from dataclasses import dataclass

COLLECTOR = "/otelembed/otelcol"


@dataclass(frozen=True)
class Facts:
    """`paths` holds, by path: mode (hex), owner, group, where a link leads, what a folder holds."""

    pid: int
    uid: int
    gid: int
    cwd: str
    words: tuple[str, ...]
    env: frozenset[str]
    processes: tuple[str, ...]
    paths: dict[str, str]
    prepared: bool

    @property
    def collectors(self) -> list[str]:
        """The command lines of collectors; a shell's script that names one isn't one."""
        first = (process.split(" ")[0] for process in self.processes)
        return [name for name in first if "otelcol" in name]


def parse(text: str) -> Facts:
    """Read what was printed."""
    lines = [line.partition("=") for line in text.splitlines()]

    def every(name: str) -> list[str]:
        return [value for key, _, value in lines if key == name]

    return Facts(
        pid=int(every("pid")[0]),
        uid=int(every("uid")[0]),
        gid=int(every("gid")[0]),
        cwd=every("cwd")[0],
        words=tuple(every("arg")),
        env=frozenset(every("env")),
        processes=tuple(process for process in every("process") if process),
        paths=dict(found.split(" ", 1) for found in every("path")),
        prepared=bool(every("prepared")),
    )
