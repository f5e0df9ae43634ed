"""The image that a site runs, as far as its telemetry depends on it: labels, environment, file."""

from __future__ import annotations

from dataclasses import dataclass

from azext_otelembed.azure.session import Session
from azext_otelembed.embedding.base_images import load_base
from azext_otelembed.errors import InvalidImage, Refused
from azext_otelembed.image.dockerfile_template import dockerfile_collector
from azext_otelembed.image.embed import Base
from azext_otelembed.image.image_config import ImageConfig
from azext_otelembed.image.provenance import read_provenance
from azext_otelembed.image.reference import Digest, Reference
from azext_otelembed.registry.client import RegistryClient
from azext_otelembed.target.app_image import image_for_site
from azext_otelembed.target.app_registry import AppRegistry
from azext_otelembed.target.embed_target import CollectorName
from azext_otelembed.target.embedded_config import read_config_of
from azext_otelembed.webapp.observe import Observed


@dataclass(frozen=True, slots=True)
class RunningImage:
    """An image with a collector, or without (`collector` is None).

    `app` is the base image by name, or the image itself. `recipe` is the recipe's digest, None in
    an image whose own Dockerfile adds the collector. `launcher` is as in its label (`exec/3`).
    `config` is the collector's configuration file, None if it wasn't found. `settings` are the
    image's configuration, `layers` the digests of its layers.
    """

    reference: Reference
    app: Reference
    settings: ImageConfig
    collector: str | None = None
    recipe: Digest | None = None
    launcher: str = ""
    config: bytes | None = None
    layers: tuple[Digest, ...] = ()


def running_image(session: Session, observed: Observed, image: str | None = None) -> RunningImage:
    """Reads the image that a site is configured to run, or `image`. Raises as `load_base` does."""
    reference = image_for_site(session, observed, image, None).or_latest()
    client = AppRegistry(session).open(reference)
    base = load_base(client, reference)
    layers = tuple(one.digest for one in base.manifest.layers)
    if own := dockerfile_collector(base.config):
        return RunningImage(
            reference,
            reference,
            base.config,
            collector=_version(own.collector),
            launcher=own.launcher,
            config=_config_of(client, base),
            layers=layers,
        )
    found = read_provenance(base.config)
    if found is None:
        return RunningImage(reference, reference, base.config)
    return RunningImage(
        reference,
        found.base,
        base.config,
        collector=_version(found.collector),
        recipe=found.recipe,
        launcher=found.launcher,
        config=_config_of(client, base),
        layers=layers,
    )


def _version(label: str) -> str:
    name = CollectorName.of_label(label).as_result()
    return str(name.get("version") or name.get("name") or label)


def _config_of(client: RegistryClient, image: Base) -> bytes | None:
    try:
        return read_config_of(client, image)
    except (Refused, InvalidImage):
        return None
