"""The shell of a busybox image, brought into a registry of the double, and embedded with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from azext_otelembed.collector import config as collector_config
from azext_otelembed.embedding.base_images import load_base
from azext_otelembed.embedding.prepare_collector import prepare_collector
from azext_otelembed.embedding.prepare_shell import find_shell, prepare_shell
from azext_otelembed.embedding.push import push_embedded
from azext_otelembed.errors import NotFound, Refused, RegistryFailed
from azext_otelembed.image.embed import embed
from azext_otelembed.image.launcher import Launcher
from azext_otelembed.image.prepared_collector import REPOSITORY
from azext_otelembed.image.prepared_shell import make_shell_layer
from azext_otelembed.image.reference import Reference
from azext_otelembed.registry.client import RegistryClient
from localazure.images.assemble import Entry, Image, layer, write_layout
from tests.programs import LOADER, program
from tests.registry import images
from tests.registry.conftest import HUB, Registries
from tests.registry.liar import lying

BUSYBOX = program(300_000, seed=8) + b"BusyBox v1.36.1 (2024-06-11 18:23:56 UTC)"
HUB_IMAGE = Image(
    [
        layer(
            [
                Entry("bin", kind="dir"),
                Entry("bin/[", BUSYBOX, 0o755),
                *(Entry(f"bin/{n}", kind="hardlink", target="bin/[") for n in ("busybox", "sh")),
            ]
        )
    ],
    {"Cmd": ["sh"]},
)
PushShell = Callable[..., Reference]


@pytest.fixture
def push_shell(registries: Registries, tmp_path: Path, name: str) -> PushShell:
    """Puts an image into the hub; returns its name."""

    def push(image: Image, tag: str = "1.36.1-musl") -> Reference:
        write_layout(tmp_path / "shell", image, tag)
        registries.azure.push(HUB, name, tag, tmp_path / "shell")
        return Reference(registries.hub, name, tag)

    return push


def test_a_shell_is_prepared_once_and_found_by_one_request(
    registries: Registries, push_shell: PushShell
) -> None:
    client, reference = registries.owner(), push_shell(HUB_IMAGE)
    assert find_shell(client, reference) is None
    prepared = prepare_shell(client, reference, registries.anonymous())
    assert prepared.layer.digest == make_shell_layer(BUSYBOX).digest
    assert str(prepared.upstream) == f"{reference}@{HUB_IMAGE.digest}"
    mark = registries.azure.mark()
    assert prepare_shell(client, reference, registries.anonymous()) == prepared
    assert len(registries.since(mark)) == 1
    assert find_shell(client, prepared.upstream) == prepared
    assert client.has_blob(REPOSITORY, prepared.layer.digest)


def test_a_moving_tag_is_looked_up_each_time_and_kept_where_that_is_not_possible(
    registries: Registries, push_shell: PushShell
) -> None:
    client = registries.owner()
    first = prepare_shell(client, push_shell(HUB_IMAGE, "musl"), registries.anonymous())
    newer = Image([layer([Entry("bin/busybox", BUSYBOX + b"newer", 0o755)])], {})
    reference = push_shell(newer, "musl")
    second = prepare_shell(client, reference, registries.anonymous())
    assert second.layer.digest == make_shell_layer(BUSYBOX + b"newer").digest != first.layer.digest
    registries.azure.fault(service="registry", status=503, times=0)
    assert prepare_shell(client, reference, registries.anonymous()) == second


def test_the_registry_imports_what_this_machine_cannot_reach(
    registries: Registries, push_shell: PushShell
) -> None:
    reference = push_shell(HUB_IMAGE)
    registries.azure.fault(service="registry", status=503, times=0)
    importer = partial(images.importer, registries)
    prepared = prepare_shell(registries.owner(), reference, registries.anonymous(), importer)
    assert prepared.layer.digest == make_shell_layer(BUSYBOX).digest
    with pytest.raises(RegistryFailed):
        prepare_shell(
            registries.owner(), replace(reference, tag="1.0"), registries.anonymous(), None
        )


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([Entry("bin/sh", program(), 0o755)], "holds no busybox"),
        ([Entry("app", BUSYBOX, 0o755)], "holds no busybox"),
        ([Entry("bin/busybox", program(loader=LOADER) + b"BusyBox v1", 0o755)], "needs /lib64/ld"),
    ],
)
def test_an_image_without_a_busybox_for_every_base_is_refused(
    registries: Registries, push_shell: PushShell, entries: list[Entry], message: str
) -> None:
    reference = push_shell(Image([layer(entries)], {}))
    with pytest.raises(Refused, match=message) as caught:
        prepare_shell(registries.owner(), reference, registries.anonymous())
    assert str(reference) in caught.value.message
    assert "busybox:1.36.1-musl" in str(caught.value.recommendation)


def test_a_layer_with_other_bytes_than_its_digest_names_is_refused(registries: Registries) -> None:
    honest, forged = (layer([Entry("bin/busybox", BUSYBOX + end, 0o755)]) for end in (b"1", b"2"))
    with lying() as liar, RegistryClient(liar.host, scheme="http") as source:
        liar.image("1", Image([honest], {}), first=lambda: iter([forged.data]))
        with pytest.raises(RegistryFailed, match="digest"):
            prepare_shell(registries.owner(), Reference(liar.host, "busybox", "1"), source)


def test_a_shell_image_that_is_not_there_is_told(registries: Registries, name: str) -> None:
    with pytest.raises(NotFound, match=name):
        prepare_shell(
            registries.owner(), Reference(registries.hub, name, "1.0"), registries.anonymous()
        )


def test_a_base_without_a_shell_gets_one_and_is_refused_without(
    registries: Registries, name: str, push_shell: PushShell
) -> None:
    client = registries.owner()
    upstream = images.upstream(registries, f"5.{name.rpartition('app')[2]}.0")
    brought = prepare_collector(client, upstream, registries.anonymous())
    shell = prepare_shell(client, push_shell(HUB_IMAGE), registries.anonymous())
    bare = images.push(registries, name, "1.0", images.app(images.program()))
    base = load_base(client, bare)
    config = collector_config.default()
    with pytest.raises(Refused, match="no /bin/sh") as caught:
        push_embedded(client, embed(base, brought, config, Launcher()))
    assert "--shell-image" in str(caught.value.recommendation)
    embedded = embed(base, brought, config, Launcher(), shell=shell)
    mark = registries.azure.mark()
    push_embedded(client, embedded)
    # One mount more than without a shell, and no search for one in the base's layers.
    assert not [r for r in registries.since(mark) if r["method"] == "GET" and "blobs" in r["path"]]
    put = load_base(client, embedded.reference)
    assert put.config.entrypoint[0] == "/otelembed/sh"
    assert [each.digest for each in put.manifest.layers].count(shell.layer.digest) == 1
