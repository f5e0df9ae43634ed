"""Everything that reads what registries and token servers send: bytes in, a value or an error out.

The errors are those with words for a person: InvalidImage and OtelembedError.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from azext_otelembed.errors import InvalidImage, OtelembedError
from azext_otelembed.image import labels as names
from azext_otelembed.image.elf import check_static_program
from azext_otelembed.image.embed import Base, check_base, original
from azext_otelembed.image.existing_collector import (
    StartCommand,
    find_collector,
    find_in_startup_command,
)
from azext_otelembed.image.image_config import parse_config
from azext_otelembed.image.launcher import Launcher
from azext_otelembed.image.manifest import Index, parse_manifest, platform_choices
from azext_otelembed.image.prepared_collector import parse_prepared_collector
from azext_otelembed.image.provenance import RestoreData, restore_base
from azext_otelembed.image.reference import Digest, Reference
from azext_otelembed.image.single_file_layer import NotSingleFile, verified_single_file
from azext_otelembed.image.tar_reader import read_file, scan
from azext_otelembed.records import record
from azext_otelembed.redaction import Secrets
from azext_otelembed.registry import acr_lists, response_json
from azext_otelembed.registry.auth import AcrExchange, Anonymous, challenges
from azext_otelembed.registry.error_responses import registry_message
from azext_otelembed.registry.http_headers import next_page, retry_after_seconds
from azext_otelembed.registry.json_stream import array_elements
from azext_otelembed.registry.scope import Scope, pull
from azext_otelembed.registry.tokens import Tokens, lifetime
from azext_otelembed.urls import resolve_safe
from tests.fuzz import input_targets, seeds

MOST = 16 << 20
_DIFF_ID = Digest.of(seeds.ALONE)


def _chunks(data: bytes) -> Iterator[bytes]:
    """In pieces whose length the data decides."""
    size = data[-1] + 1 if data else 1
    return (data[start : start + size] for start in range(0, len(data), size))


def manifest(data: bytes) -> None:
    found = parse_manifest(data, None)
    assert found.data == data
    if isinstance(found, Index):
        platform_choices(found)
    else:
        assert found.is_image in (True, False)
        parse_prepared_collector(found)


def config(data: bytes) -> None:
    found = parse_config(data)
    assert found.data == data
    image = seeds.EMBEDDED.manifest
    base = original(Base(Reference("localhost", "a"), image.digest, image, found))
    check_base(base, Launcher("drain"))


def layer(data: bytes) -> None:
    wanted = frozenset({"a"})
    for entry in scan(_chunks(data), want=wanted, peek=frozenset({"b"}), max_bytes=MOST):
        assert not entry.path.startswith("/")


def alone(data: bytes) -> None:
    compression = "gzip" if data.startswith(b"\x1f") else "none"
    passed = b""
    with suppress(NotSingleFile):
        for chunk in verified_single_file(_chunks(data), "/a", compression, _DIFF_ID, MOST):
            passed += chunk
        assert passed == data


def text(data: bytes) -> None:
    words = data.decode("utf-8", "surrogateescape")
    challenges(words)
    next_page(words)
    registry_message(data, Secrets())
    retry_after_seconds(words)
    resolve_safe("https://localhost/v2/", words)
    Scope.parse(words)
    find_collector(StartCommand((), ("sh", "-c", words)))
    find_in_startup_command(words)


def tags(data: bytes) -> None:
    assert all(isinstance(tag, str) for tag in response_json.tags(data) or ())


def referrers(data: bytes) -> None:
    listed = response_json.manifests(data) or ()
    found = (record.from_annotations(one.get("annotations")) for one in listed)
    releases = record.latest_states(one for one in found if one is not None)
    record.in_progress(releases, datetime.now(timezone.utc))
    for release in releases:
        release.as_result()
        release.is_of(release.digest, "setting")


def stream(data: bytes) -> None:
    try:
        found = list(array_elements(_chunks(data), "manifests"))
    except ValueError:
        return
    assert repr(found) == repr(json.loads(data)["manifests"] or [])


def own_lists(data: bytes) -> None:
    parsers: dict[str, Callable[[Any], object]] = {
        "tags": acr_lists.parse_tag,
        "manifests": acr_lists.parse_manifest,
        "repositories": acr_lists.parse_text,
    }
    for name, parse in parsers.items():
        for entry in response_json.entries(data, name) or ():
            with suppress(ValueError):
                parse(entry)


@dataclass(frozen=True)
class _Answer:
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200


def token(data: bytes) -> None:
    def answer(*_: object) -> Any:
        return _Answer(data)

    words = data.decode("utf-8", "surrogateescape")
    lifetime(words, response_json.parse_object(data) or {}, words)
    asker = Tokens("localhost", "https://localhost", AcrExchange(lambda: "arm"), answer, Secrets())
    with suppress(OtelembedError):
        asker.login()
    asker.header((pull("a"),))


def challenge(data: bytes) -> None:
    def answer(*_: object) -> Any:
        return _Answer(b'{"token":"t"}')

    asker = Tokens("localhost", "https://localhost", Anonymous(), answer, Secrets())
    asker.renew((pull("a"),), None, data.decode("latin-1"))


def redaction(data: bytes) -> None:
    setting, _, words = data.decode("utf-8", "surrogateescape").partition("\0")
    secrets = Secrets()
    secrets.add_settings({"KEY": setting})
    secrets.mask(words)
    secrets.add(setting)
    if len(setting) >= 8:
        assert setting not in secrets.mask(f"{words}({setting}){words}").replace("***", "\0")


def restore_data(data: bytes) -> None:
    """The restore label of an image whose other labels are valid."""
    text = data.decode("utf-8", "surrogateescape")
    RestoreData.parse(text)
    embedded = seeds.EMBEDDED
    document = json.loads(embedded.config.data)
    document["config"]["Labels"][names.RESTORE] = text
    _, restored = restore_base(embedded.manifest, parse_config(json.dumps(document).encode()))
    _ = restored.entrypoint, restored.cmd, restored.labels


def _one(read: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda data: read(data.decode("utf-8", "surrogateescape"))


TARGETS: dict[str, Callable[[bytes], object]] = {
    "manifest": manifest,
    "config": config,
    "layer": layer,
    "file": lambda data: list(read_file(_chunks(data), "a")),
    "alone": alone,
    "program": lambda data: check_static_program(data, "/otelcol"),
    "text": text,
    "tags": tags,
    "referrers": referrers,
    "stream": stream,
    "own-lists": own_lists,
    "token": token,
    "challenge": challenge,
    "redaction": redaction,
    "reference": _one(Reference.parse),
    "digest": _one(Digest.parse),
    "launcher": _one(Launcher.parse),
    "restore-data": restore_data,
    **input_targets.TARGETS,
}


def run(name: str, data: bytes) -> None:
    """Raises whatever has no words for a person."""
    with suppress(InvalidImage, OtelembedError):
        TARGETS[name](data)
