"""`az otelembed build`: an embedded image in the registry, without a site."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from azext_otelembed.azure.session import Session
from azext_otelembed.console import Console
from azext_otelembed.target.app_image import image_in_registry
from azext_otelembed.target.app_registry import AppRegistry
from azext_otelembed.target.embed_options import EmbedOptions
from azext_otelembed.target.embed_target import Existing
from azext_otelembed.target.embedder import Embedder
from azext_otelembed.target.finder import TargetFinder
from azext_otelembed.target.from_source import AppSource, build_app


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """A build as the caller asks for it. `app` is the source to build the app image from."""

    image: str
    registry: str | None
    embed: EmbedOptions
    app: AppSource | None = None


def build(session: Session, request: BuildRequest, console: Console) -> dict[str, Any]:
    """Makes the embedded image of an app image, unless the registry holds it already.

    Asks Azure Resource Manager only where a registry is given by its name alone, or where the
    collector isn't in the registry yet. Raises the errors of `errors.py`.
    """
    for warning in request.embed.warnings:
        console.note(f"--collector-config: {warning}")
    registry = AppRegistry(session)
    reference = image_in_registry(session, request.image, request.registry)
    built = None
    if request.app is not None:
        reference = request.app.name(reference, running=False)
        built = build_app(request.app, reference, registry.open(reference), console)
    reference = reference.or_latest()

    def stands(text: str) -> None:
        console.stands(text.partition(";")[0])  # the rest is about a site

    with console.step("embed") as step:
        step.say(f"reading {reference} and the collector")
        client = registry.open(reference)
        finder = TargetFinder(client, request.embed, moves_tags=True)
        target = finder.find(reference)
        existed = isinstance(target, Existing)
        image = Embedder(session, client, finder, request.embed, stands).embed(target, step)
        step.say(f"{image.image} {'exists already' if existed else 'is in the registry'}")
    return {
        "image": {"name": str(image.image), "digest": str(image.digest)},
        "base": {"name": str(image.base), "digest": str(image.base_digest)},
        "collector": image.collector.as_result(),
        "built": not existed,
        "build": built,
        "seconds": dict(console.seconds),
    }
