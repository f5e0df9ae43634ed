"""The collector's configuration in an image: read from the layer that holds it."""

from __future__ import annotations

from contextlib import closing, suppress

from azext_otelembed.az_commands import DEFAULT
from azext_otelembed.errors import InvalidImage, Refused
from azext_otelembed.image.descriptor import Descriptor
from azext_otelembed.image.dockerfile_template import DOCKERFILE_CONFIG, dockerfile_collector
from azext_otelembed.image.embed import Base
from azext_otelembed.image.layer import CONFIG
from azext_otelembed.image.provenance import read_provenance
from azext_otelembed.image.reference import Digest
from azext_otelembed.image.tar_reader import scan
from azext_otelembed.registry.client import RegistryClient

_SHOW_DEFAULT = DEFAULT.command("otelembed config show", "--default", subscription=None)
_MAX_LAYER_BYTES = 8 << 20
"""A layer that is larger is not read: the configuration's has a few KB."""
_MAX_UNPACKED_BYTES = 64 << 20
_MAX_CONFIG_BYTES = 1 << 20


def read_config_of(client: RegistryClient, image: Base) -> bytes:
    """The configuration that the collector of an image starts with (YAML).

    Layers are searched from the top down. Raises `Refused` for an image without a collector or
    whose configuration isn't found, InvalidImage if it isn't what the image's label says.
    """
    name = image.reference
    if dockerfile_collector(image.config):
        path, expected = DOCKERFILE_CONFIG[1:], None
    elif found := read_provenance(image.config):
        path, expected = CONFIG[1:], None if found.derived else found.config
    else:
        raise Refused(
            f"{name} has no embedded collector, so it has no configuration of one.",
            f"`{_SHOW_DEFAULT}` prints the default configuration.",
        )
    for layer in reversed(image.manifest.layers):
        if layer.size <= _MAX_LAYER_BYTES:
            data = _file(client, name.repository, layer, path)
            if data is not None:
                return _checked(image, data, expected)
    raise Refused(
        f"The collector's configuration (/{path}) was not found in the layers of {name} that have "
        f"at most {_MAX_LAYER_BYTES >> 20} MiB.",
        "Look at that file in the running container.",
    )


def _file(client: RegistryClient, repository: str, layer: Descriptor, path: str) -> bytes | None:
    stream = client.stream_blob(repository, layer.digest, layer.size)
    with closing(stream) as chunks, suppress(InvalidImage):  # not a tar archive, or too large
        for entry in scan(
            chunks,
            want=frozenset({path}),
            max_file_bytes=_MAX_CONFIG_BYTES,
            max_bytes=_MAX_UNPACKED_BYTES,
        ):
            if entry.path == path:
                return entry.data
    return None


def _checked(image: Base, data: bytes, expected: Digest | None) -> bytes:
    if expected is not None and Digest.of(data) != expected:
        raise InvalidImage(
            f"The configuration in {image.reference} isn't the one that the image's label names.",
            "Deploy the app image again.",
        )
    return data
