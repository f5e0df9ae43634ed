"""App images as teams have them, each odd in its own way, all made from nothing.

Each starts `/app/facts`, which tells how it was started: as a page on port 8080, or, with ONCE in
its environment, on stdout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from localazure.images.assemble import Entry, Image, Layer, layer
from localazure.images.shell import static_busybox
from tests.programs import program

# A collector that is to be expected is waited for. Until it is one, its process is a shell that has
# the launcher's script for an argument: only an argument that is a path and no more counts.
FACTS = r"""#!/bin/sh
collecting() { grep -lszE '^([^ ]*/)?otelcol$' /proc/[0-9]*/cmdline >/dev/null; }
tries=0
while [ -s /otelembed/otelcol ] || [ -s /usr/bin/otelcol ]; do
  if collecting || [ $tries = 100 ]; then break; fi
  tries=$((tries + 1)); sleep 0.1
done
tell() {
  echo "pid=$$"
  echo "uid=$(id -u)"
  echo "gid=$(id -g)"
  echo "cwd=$(pwd)"
  for word; do echo "arg=$word"; done
  env | sed 's/^/env=/'
  for each in /proc/[0-9]*/cmdline; do
    said=$(tr '\0' ' ' <"$each" 2>/dev/null) && echo "process=$said"
  done
  for path in / /bin /usr /usr/bin /etc /lower /hidden /kept; do
    if [ -L "$path" ] || [ -e "$path" ]; then
      echo "path=$(stat -c '%n %f %u %g' "$path") $(readlink "$path") $(ls "$path" | tr '\n' ,)"
    fi
  done
  [ ! -e /tmp/prepared ] || echo prepared=1
}
if [ -n "$ONCE" ]; then tell "$@"; exit 0; fi
mkdir -p /tmp/www && tell "$@" >/tmp/www/facts
exec busybox httpd -f -p "${PORT:-8080}" -h /tmp/www
"""

# As Rails ≥ 7.1 generates it, with the two last arguments looked at in a way that any shell knows.
RAILS_ENTRYPOINT = """#!/bin/sh -e
before= last=
for word; do before=$last last=$word; done
if [ "$before" = ./bin/rails ] && [ "$last" = server ]; then
  : >/tmp/prepared
fi
exec "$@"
"""
RAILS = '#!/bin/sh\nexec /app/facts rails "$@"\n'

APPLETS = (
    *("sh", "cat", "echo", "env", "grep", "id", "ls", "mkdir", "readlink", "sed", "sleep"),
    *("stat", "tr", "nohup"),
)
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PASSWD = b"root:x:0:0:root:/root:/bin/sh\nshop:x:1234:2345:shop:/app:/bin/sh\n"
GROUP = b"root:x:0:\nshop:x:2345:\n"


@dataclass(frozen=True)
class Case:
    """A base image. `images` with several is an index; `nested` puts that into another index.

    `words` are what `/app/facts` should be called with. `blind` judges can't read it, for the
    reason given.
    """

    id: str
    images: Sequence[Image]
    words: Sequence[str] = ("one", "two words")
    nested: bool = False
    unwrap: bool = False
    blind: Mapping[str, str] = field(default_factory=dict)
    uid: int = 0
    gid: int = 0
    cwd: str = "/"
    prepared: bool = False
    refused: str = ""
    """What the refusal says, where it can't be embedded in."""

    def __str__(self) -> str:
        return self.id


@cache
def busybox() -> bytes:
    """A shell and its programs in one file, without libraries."""
    return static_busybox()


def system(folder: str = "bin") -> list[Entry]:
    """A root file system with a shell, its programs in `folder`."""
    return [
        Entry(folder, kind="dir"),
        Entry(f"{folder}/busybox", busybox(), 0o755),
        *(Entry(f"{folder}/{name}", kind="symlink", target="busybox") for name in APPLETS),
        Entry("etc", kind="dir"),
        Entry("etc/passwd", PASSWD),
        Entry("etc/group", GROUP),
        Entry("tmp", kind="dir", mode=0o1777),
    ]


@cache
def rootfs(compression: Any = "gzip") -> Layer:
    return layer(system(), compression, level=1, created_by="ADD rootfs.tar / # buildkit")


@cache
def app(compression: Any = "gzip") -> Layer:
    return layer(
        [
            Entry("app", kind="dir"),
            Entry("app/facts", FACTS.encode(), 0o755),
            Entry("app/docker-entrypoint.sh", b'#!/bin/sh\nexec "$@"\n', 0o755),
        ],
        compression,
        created_by="COPY . /app # buildkit",
    )


BOTH = {"Entrypoint": ["/app/facts"], "Cmd": ["one", "two words"], "Env": [PATH]}


def image(*more: Layer, family: Any = "docker", **config: Any) -> Image:
    """The app on its system; `config` replaces fields of the configuration, None removes them."""
    settings = {name: value for name, value in {**BOTH, **config}.items() if value is not None}
    return Image([rootfs(), app(), *more], settings, family)


def _on(entries: list[Entry]) -> Image:
    """The app on a system of its own."""
    return Image([layer(entries, level=1), app()], BOTH)


def many(count: int) -> Image:
    """An image of that many layers."""
    return image(*(layer([Entry(f"kept/{n}", b"x")]) for n in range(count - 2)))


def _merged() -> list[Entry]:
    entries = [Entry("usr", kind="dir"), *system("usr/bin")]
    return [*entries, Entry("bin", kind="symlink", target="usr/bin")]


def _usr_bin_is_a_link() -> list[Entry]:
    return [
        *system(),
        Entry("usr", kind="dir", mode=0o711, uid=7, gid=8),
        Entry("usr/bin", kind="symlink", target="../bin"),
    ]


def _etc_is_a_link() -> list[Entry]:
    moved = [replace(e, path=e.path.replace("etc", "conf", 1)) for e in system()]
    return [*moved, Entry("etc", kind="symlink", target="/conf")]


def _odd_modes() -> list[Entry]:
    odd = {"bin": (0o751, 11, 12), "etc": (0o2755, 13, 14)}
    changed = [
        replace(e, mode=odd[e.path][0], uid=odd[e.path][1], gid=odd[e.path][2])
        if e.path in odd
        else e
        for e in system()
    ]
    return [Entry("", kind="dir", mode=0o715), *changed]


def _removed() -> Image:
    lower = layer(
        [
            *(Entry(f"lower/{name}", b"x") for name in ("a", "b")),
            Entry("hidden", kind="dir"),
            *(Entry(f"hidden/{name}", b"x") for name in ("a", "b")),
        ]
    )
    upper = layer(
        [
            Entry("lower/a", kind="whiteout"),
            Entry("hidden", kind="dir"),
            Entry("hidden", kind="opaque"),
            Entry("hidden/c", b"x"),
        ]
    )
    return image(lower, upper)


def _documents() -> Image:
    """Fields that nobody here has heard of, in every document that may have some."""
    base = image(
        WorkingDir="/app",
        Env=[PATH, "EMPTY=", "QUOTED=a b 'c' \"d\""],
        ExposedPorts={"8080/tcp": {}, "53/udp": {}},
        Volumes={"/data": {}},
        StopSignal="SIGUSR1",
        Healthcheck={"Test": ["CMD-SHELL", "true"], "Interval": 30_000_000_000},
        OnBuild=["RUN true"],
        Labels={"a": "b", "org.opencontainers.image.base.name": "example.org/lower:1"},
        Shell=["/bin/sh", "-eu", "-c"],
        ArgsEscaped=True,
        Unheard={"of": [1, 2.5, None]},
    )
    return replace(
        base,
        document={
            "author": "Jürgen <j@example.org>",
            "os.version": "1",
            "docker_version": "20.10.24",
            "container_config": {"Cmd": ["x"]},
            "unheard": "of",
        },
    )


def _history(count: int) -> Image:
    steps = [{"created_by": f"RUN step {number}"} for number in range(count)]
    empty = [{"created_by": "ENV a=b", "empty_layer": True}]
    return replace(image(), document={"history": [*steps, *empty]})


def _attested() -> list[Image]:
    amd64 = image(family="oci")
    statement = Image(
        [layer([Entry("statement", b"{}")])],
        family="oci",
        platform=("unknown", "unknown"),
        entry_annotations={
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": amd64.digest,
        },
    )
    return [amd64, statement, _arm("oci")]


def _arm(family: Any = "docker") -> Image:
    return Image(
        [layer([Entry("app/facts", b"not for here", 0o755)])], BOTH, family, ("linux", "arm64")
    )


def _rails(**config: Any) -> Image:
    scripts = layer(
        [
            Entry("rails/bin/docker-entrypoint", RAILS_ENTRYPOINT.encode(), 0o755),
            Entry("rails/bin/rails", RAILS.encode(), 0o755),
        ]
    )
    entrypoint = ["/rails/bin/docker-entrypoint"]
    words = ["./bin/rails", "server"]
    return image(scripts, Entrypoint=entrypoint, Cmd=words, WorkingDir="/rails", **config)


def _by_hand(**config: Any) -> Image:
    return image(layer([Entry("usr/bin/otelcol", program(), 0o755)]), **config)


def _sh(script: str) -> list[str]:
    """Shell form, as a builder writes it."""
    return ["/bin/sh", "-c", script]


JUDGES = ("crane", "skopeo", "umoci", "docker")
UNCOMPRESSED = {"crane": "takes every layer for gzip"}
MANY = {
    **dict.fromkeys(JUDGES[:3], "122 layers tell it no more than three, and take a minute"),
    "docker build": "has no room for ENTRYPOINT, which is a layer while it is built",
}
ZSTD = dict.fromkeys(("crane", "umoci", "docker"), "can't read zstd")
LONG_HISTORY = {"docker": "refuses the base as well: its history tells of more layers than it has"}
BY_HAND = "otelcol --config=/etc/otel.yml >/dev/null 2>&1 & exec /app/facts one 'two words'"


def _cases() -> list[Case]:
    docker, oci = image(), image(family="oci")
    zstd = Image([rootfs("zstd"), app("zstd")], BOTH, "oci")
    mixed = Image([rootfs("none"), app("zstd")], BOTH, "oci")
    script = '/app/facts one "two words"'
    return [
        Case("docker", [docker]),
        Case("oci", [oci]),
        Case("docker-index", [_arm(), docker]),
        Case("oci-index-with-attestations", _attested()),
        Case("nested-index", [_arm("oci"), oci], nested=True),
        Case(
            "docker-uncompressed", [Image([rootfs("none"), app("none")], BOTH)], blind=UNCOMPRESSED
        ),
        Case(
            "oci-uncompressed",
            [Image([rootfs("none"), app("none")], BOTH, "oci")],
            blind=UNCOMPRESSED,
        ),
        Case("oci-zstd", [zstd], blind=ZSTD),
        Case("oci-mixed-compression", [mixed], blind=ZSTD),
        Case(
            "entrypoint-only",
            [image(Entrypoint=["/app/facts", "one", "two words"], Cmd=None)],
        ),
        Case("cmd-only", [image(Entrypoint=None, Cmd=["/app/facts", "one", "two words"])]),
        Case("cmd-only-null-entrypoint", [_null_entrypoint()]),
        Case("cmd-in-shell-form", [image(Entrypoint=None, Cmd=_sh(f"exec {script}"))]),
        Case("entrypoint-in-shell-form", [image(Entrypoint=_sh(f"exec {script}"), Cmd=None)]),
        Case(
            "both-in-shell-form",
            [image(Entrypoint=_sh(f"exec {script}"), Cmd=_sh("echo ignored"))],
        ),
        Case(
            "entrypoint-script",
            [
                image(
                    Entrypoint=["/app/docker-entrypoint.sh"],
                    Cmd=["/app/facts", "one", "two words", ""],
                )
            ],
            words=("one", "two words", ""),
        ),
        Case("rails", [_rails()], words=("rails", "server"), cwd="/rails", prepared=True),
        Case("user-by-number", [image(User="4321:5432")], uid=4321, gid=5432),
        Case("user-by-name", [image(User="shop")], uid=1234, gid=2345),
        Case("every-field", [_documents()], cwd="/app"),
        Case(
            "annotations",
            [replace(oci, annotations={"org.opencontainers.image.created": "x", "a": "b"})],
        ),
        Case("no-history", [replace(docker, document={"history": None})]),
        Case("short-history", [_history(1)]),
        Case("long-history", [_history(5)], blind=LONG_HISTORY),
        Case("whiteouts", [_removed()]),
        Case("bin-is-a-link", [_on(_merged())]),
        Case("usr-bin-is-a-link", [_on(_usr_bin_is_a_link())]),
        Case("etc-is-a-link", [_on(_etc_is_a_link())]),
        Case("odd-modes", [_on(_odd_modes())]),
        Case("as-many-layers-as-docker-runs", [many(122)], blind=MANY),
        Case(
            "by-hand",
            [_by_hand(Entrypoint=None, Cmd=_sh(BY_HAND))],
            unwrap=True,
        ),
        Case(
            "by-hand-as-entrypoint",
            [_by_hand(Entrypoint=["sh", "-c", 'otelcol & exec "$@"', "--", "/app/facts"])],
            unwrap=True,
        ),
        Case("one-layer-too-many", [many(123)], refused="123 layers; .* 3 .*more than the 125"),
        Case("127-layers", [many(127)], refused="127 layers; .* 3 .*more than the 125"),
        Case(
            "nothing-to-start", [image(Entrypoint=None, Cmd=None)], refused="neither an ENTRYPOINT"
        ),
        Case("no-shell", [_shell_less()], refused="has no /bin/sh"),
        Case("arm64-only", [_arm()], refused="linux/arm64"),
        Case("windows", [replace(docker, platform=("windows", "amd64"))], refused="Windows image"),
        Case(
            "by-hand-not-unwrapped",
            [_by_hand(Entrypoint=None, Cmd=_sh(BY_HAND))],
            refused="already starts a collector",
        ),
    ]


def _null_entrypoint() -> Image:
    return replace(
        image(),
        config={"Entrypoint": None, "Cmd": ["/app/facts", "one", "two words"], "Env": [PATH]},
    )


def _shell_less() -> Image:
    return Image([layer([Entry("app/facts", program(), 0o755)])], BOTH)


CASES: Callable[[], list[Case]] = cache(_cases)
