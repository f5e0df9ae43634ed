"""`az otelembed config show`: the collector's configuration in the image that a site runs."""

from __future__ import annotations

from typing import Any

from azext_otelembed.azure.session import Session
from azext_otelembed.azure.sites import SiteClient, SiteId
from azext_otelembed.collector.config import ConfigFile, read
from azext_otelembed.collector.plain_secrets import mask_comments, secret_values
from azext_otelembed.console import Console
from azext_otelembed.embedding.base_images import load_base
from azext_otelembed.errors import Refused
from azext_otelembed.image.reference import Digest
from azext_otelembed.printable import printable
from azext_otelembed.redaction import Secrets
from azext_otelembed.target.app_image import image_for_site
from azext_otelembed.target.app_registry import AppRegistry
from azext_otelembed.target.embedded_config import read_config_of
from azext_otelembed.webapp.observe import check_kind, observe


def show_config(session: Session, site: SiteId, console: Console) -> dict[str, Any]:
    """The configuration in the image of `site`, secrets masked, and the image. Changes nothing.

    Raises the errors of `errors.py`; `Refused` for an image without a collector.
    """
    with console.step("read") as step:
        step.say(f"reading {site}")
        observed = observe(SiteClient(session, site))
        check_kind(observed)
        reference = image_for_site(session, observed, None, None).or_latest()
        step.say(f"reading {reference}")
        client = AppRegistry(session).open(reference)
        image = load_base(client, reference)
        data = read_config_of(client, image)
        step.say(f"{reference}")
    return {
        "site": site.label,
        "image": {"name": observed.image, "digest": str(image.digest)},
        "digest": str(Digest.of(data)),
        "config": masked(session.secrets, data, str(reference)),
    }


def masked(secrets: Secrets, data: bytes, image: str) -> str:
    """The text of a configuration without the secrets that it holds.

    The checks refuse them, but an image may be older, or its own Dockerfile put it together. Raises
    `Refused` for a file in which they can't be found.
    """
    config = read([ConfigFile("", data)])
    if not config.root.items:
        raise Refused(
            f"The collector's configuration in {image} isn't printed, because secrets in it can't "
            f"be found: {config.found[-1].sentence}",
            "Look at that file in the running container.",
        )
    text = mask_comments(config.data.decode())
    for secret in secret_values(config.root, text):
        secrets.add(secret)
    return printable(secrets.mask(text))
