"""Well-formed input to begin with, so that a fuzzer needn't invent JSON and tar."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence

import zstandard

from localazure.images.assemble import Entry, Image, index_bytes, layer
from tests.programs import LOADER, program

_ENTRIES = [
    Entry("a", b"content"),
    Entry("b", kind="dir"),
    Entry("b/" + "long" * 40, b"1"),
    Entry("c", kind="symlink", target="a"),
    Entry("d", kind="hardlink", target="a"),
]
_TAR = layer(_ENTRIES, "none").data
_IMAGE = Image(
    [layer(_ENTRIES)],
    {"Entrypoint": ["/a"], "Cmd": ["b"], "Env": ["A=b"], "Labels": {"dev.otelembed.version": "1"}},
)

ALONE = layer([Entry("a", program(), 0o755)], "none").data
_LAYERS = (_TAR, gzip.compress(_TAR), zstandard.ZstdCompressor().compress(_TAR))
SEEDS: Mapping[str, Sequence[bytes]] = {
    "manifest": (_IMAGE.manifest_bytes, index_bytes([_IMAGE])),
    "config": (_IMAGE.config_bytes,),
    "layer": _LAYERS,
    "file": _LAYERS,
    "alone": (ALONE, gzip.compress(ALONE), gzip.compress(ALONE[:600]) + gzip.compress(ALONE[600:])),
    "program": (program(), program(loader=LOADER)),
    "text": (
        b'Bearer realm="https://a/token",service="a",scope="repository:a/b:pull"',
        b"<https://a/2>; rel=next",
        b'{"errors":[{"code":"DENIED","message":"no"}]}',
        b"otelcol --config x 2>&1 & exec node 'a b'",
    ),
    "reference": (b"localhost:5000/a/b:1@sha256:" + b"0" * 64,),
    "digest": (b"sha256:" + b"0" * 64,),
    "launcher": (b"drain/1,grace=3,logs=stderr,memory=none",),
    "undo": (b'{"layers":3,"history":0,"top":"sha256:' + b"0" * 64 + b'","seal":"x"}',),
}
