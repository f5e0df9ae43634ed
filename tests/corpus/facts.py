"""What `/app/facts` tells of the container that it runs in."""

from __future__ import annotations

from dataclasses import dataclass

from tests.corpus.bases import Case
from tests.engine import Engine

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

    def paths_less(self, *names: str) -> dict[str, str]:
        """`paths`, without these names in what folders hold."""
        found = {}
        for path, told in self.paths.items():
            of_itself, _, holds = told.rpartition(" ")
            kept = [name for name in holds.split(",") if name not in names]
            found[path] = f"{of_itself} {','.join(kept)}"
        return found

    def check(self, case: Case) -> None:
        """That the app was started as `case` has it."""
        assert self.pid == 1
        assert self.words == tuple(case.words)
        assert (self.uid, self.gid, self.cwd) == (case.uid, case.gid, case.cwd)
        assert self.prepared is case.prepared


def on_engine(engine: Engine, image: str, *options: str) -> Facts:
    """What the app says of itself when a real engine runs the image, pulled if need be."""
    said = engine.run("run", "--rm", "--network", "host", "--env", "ONCE=1", *options, image)
    return parse(said.stdout)


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
