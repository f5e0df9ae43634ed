"""Well-formed input to begin with, so that a fuzzer needn't invent JSON and tar."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone

import zstandard

from azext_otelembed.image import labels as names
from azext_otelembed.image.descriptor import Family
from azext_otelembed.image.embed import embed
from azext_otelembed.image.launcher import Launcher
from azext_otelembed.records.record import SUCCEEDED, Release, to_manifest
from localazure.images.assemble import Entry, Image, index_bytes, layer
from tests.fuzz import input_targets
from tests.programs import LOADER, program
from tests.unit.image.image_support import base, collector

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

EMBEDDED = embed(base(Family.OCI), collector(), b"receivers: {}", Launcher())


def _restore_label(originals: dict[str, object]) -> bytes:
    """The restore label of `EMBEDDED` with other originals."""
    label = json.loads(EMBEDDED.config.labels[names.RESTORE])
    return json.dumps({**label, "notes": originals}).encode()


ALONE = layer([Entry("a", program(), 0o755)], "none").data
_LAYERS = (_TAR, gzip.compress(_TAR), zstandard.ZstdCompressor().compress(_TAR))
_WHEN = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)
_RELEASE = Release(
    id="1",
    site="/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/a",
    state=SUCCEEDED,
    started=_WHEN,
    expires=_WHEN,
    image="localhost/a:1",
    digest=f"sha256:{0:064}",
    previous_image="localhost/a:0",
    setting_existed=True,
    setting_changed=True,
    finished=_WHEN,
)
_RECORD = json.loads(to_manifest(_RELEASE))


def _jwt(claims: object) -> str:
    parts = [{"alg": "none"}, claims, 1]
    encoded = (base64.urlsafe_b64encode(json.dumps(part).encode()) for part in parts)
    return ".".join(part.decode().rstrip("=") for part in encoded)


_JWTS = (_jwt({"exp": 2**40}), _jwt({"exp": 10**400}), _jwt({"exp": "1"}), _jwt([]))


def _json(document: object) -> bytes:
    return json.dumps(document).encode()


SEEDS: Mapping[str, Sequence[bytes]] = {
    "manifest": (_IMAGE.manifest_bytes, index_bytes([_IMAGE]), EMBEDDED.manifest.data),
    "config": (_IMAGE.config_bytes, EMBEDDED.config.data),
    "layer": _LAYERS,
    "file": _LAYERS,
    "alone": (ALONE, gzip.compress(ALONE), gzip.compress(ALONE[:600]) + gzip.compress(ALONE[600:])),
    "program": (program(), program(loader=LOADER)),
    "text": (
        b"https://a:port/token",
        b"Sun, 22 Nov 2026 12:00:00 +" + b"9" * 30,
        b'Bearer realm="https://a/token",service="a",scope="repository:a/b:pull"',
        b"<https://a/2>; rel=next",
        b'{"errors":[{"code":"DENIED","message":"no"}]}',
        b"otelcol --config x 2>&1 & exec node 'a b'",
    ),
    "tags": (b'{"name":"a","tags":["1","2"]}', b'{"name":"a","tags":null}'),
    "referrers": (_json({"schemaVersion": 2, "manifests": [_RECORD]}),),
    "stream": (
        _json({"schemaVersion": 2, "manifests": [_RECORD, _RECORD]}),
        b'{"manifests":[1.5,-2e9,"\\ud83d\\ude00 \\" ]",null,[[{}]]],"a":{}}',
        b'{"manifests":null}',
    ),
    "own-lists": (
        _json({"tags": [{"name": "1", "digest": f"sha256:{0:064}"}], "repositories": ["a"]}),
        _json(
            {
                "manifests": [
                    {
                        "digest": f"sha256:{0:064}",
                        "createdTime": "2026-11-24T12:00:00.1234567Z",
                        "lastUpdateTime": "2026-11-24T12:00:00Z",
                        "tags": ["1"],
                    }
                ]
            }
        ),
    ),
    "token": (
        _json({"token": "t", "expires_in": 300}),
        *(_json({"refresh_token": jwt, "access_token": jwt}) for jwt in _JWTS),
        b"Sun, 22 Nov 2026 12:00:00 +" + b"9" * 30,
    ),
    "challenge": (
        b'Bearer realm="https://a/token",service="a",scope="repository:a/b:pull"',
        b'Bearer realm="https://[/token"',
        b'Bearer realm="https://a:port/token"',
    ),
    "redaction": (
        b'{"a": {"b": "hunter2-hunter2"}}\0refused: {\\"b\\": \\"hunter2\\u002dhunter2\\"}',
        b"postgres://a:p%40ss%2Fword@db/x;Key=a==\0p%2540ss%252Fword &#112;@ss aHVudGVyMg==",
        b"-----BEGIN-----\nMIIE\n\0\\ud83d\\ude00 \\ud83d %ff%c3 &#0; &#x110000;",
    ),
    "reference": (b"localhost:5000/a/b:1@sha256:" + b"0" * 64,),
    "digest": (b"sha256:" + b"0" * 64,),
    "launcher": (b"drain/3,grace=3,logs=stderr,memory=none",),
    "restore-data": (
        b'{"layers":3,"history":0,"top":"sha256:' + b"0" * 64 + b'","seal":"x"}',
        _restore_label({"Cmd": {"was": None}, "subject": {"was": {}, "at": 1}}),
        _restore_label({"subject": {"was": {}, "at": 10**60}}),
    ),
    **input_targets.SEEDS,
}
