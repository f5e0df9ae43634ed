"""An image whose `/init` is s6-overlay's, by the file alone, is refused with `drain`."""

from __future__ import annotations

import pytest

from azext_otelembed.collector import config as collector_config
from azext_otelembed.embedding.base_images import load_base
from azext_otelembed.embedding.prepare_collector import prepare_collector
from azext_otelembed.embedding.push import push_embedded
from azext_otelembed.errors import InvalidImage
from azext_otelembed.image.embed import embed
from azext_otelembed.image.launcher import Launcher
from localazure.images.assemble import Entry, Image, Layer, layer
from tests.registry import images
from tests.registry.conftest import Registries


def init(text: str) -> Layer:
    """A layer with an executable `/init`."""
    return layer([Entry("init", text.encode(), 0o755)])


THREE = init("#!/bin/sh -e\naddpath /command\nexec s6-overlay-suexec ' preinit' '' stage0 \"$@\"\n")
TWO = init("#!/bin/execlineb -S0\n/etc/s6/init/init-stage1 $@\n")
OTHER = init('#!/bin/sh\nexec node server.js "$@"\n')


@pytest.mark.parametrize(
    ("layers", "is_refused"),
    [
        ((THREE,), True),
        ((TWO,), False),
        ((OTHER,), False),
        ((), False),
        ((THREE, OTHER), False),  # the upper layer's file is the image's
        ((OTHER, THREE, images.program()), True),
    ],
)
def test_the_file_shows_whether_it_needs_to_be_process_1(
    registries: Registries, name: str, layers: tuple[Layer, ...], is_refused: bool
) -> None:
    client = registries.owner()
    upstream = images.upstream(registries, f"6.{name.rpartition('app')[2]}.0")
    brought = prepare_collector(client, upstream, registries.anonymous())
    image = Image((images.shell(), *layers), {"Entrypoint": ["/init"]})
    base = load_base(client, images.push(registries, name, "1.0", image))
    config = collector_config.default()
    push_embedded(client, embed(base, brought, config, Launcher()))
    drained = embed(base, brought, config, Launcher("drain"))
    mark = registries.azure.mark()
    if not is_refused:
        push_embedded(client, drained)
        return
    with pytest.raises(InvalidImage, match="starts `/init of s6-overlay`"):
        push_embedded(client, drained)
    assert {request["method"] for request in registries.since(mark)} <= {"GET", "HEAD"}
