"""`az otelembed build`: an embedded image in the registry, without a site."""

from __future__ import annotations

from typing import Any

from azext_otelembed.azure.session import Session
from azext_otelembed.collector.config import listening_ports
from azext_otelembed.console import Console
from azext_otelembed.target.app_image import image_in_registry
from azext_otelembed.target.app_registry import AppRegistry
from azext_otelembed.target.embed_target import EmbedOptions, Existing, ToEmbed, ToPrepare
from azext_otelembed.target.embedder import embed_target
from azext_otelembed.target.finder import TargetFinder
from azext_otelembed.target.from_source import AppSource, build_app
from azext_otelembed.webapp.telemetry_notes import telemetry_notes


def build(
    session: Session,
    image: str,
    registry: str | None,
    options: EmbedOptions,
    source: AppSource | None,
    console: Console,
) -> dict[str, Any]:
    """Makes the embedded image of an app image, unless the registry holds it already.

    `image` and `registry` are as in `image_in_registry`; the app image is built from `source`.
    Azure Resource Manager is asked only for a registry given by its name alone, or where the
    collector isn't in the registry yet. Raises the errors of `errors.py`.
    """
    for warning in options.warnings:
        console.note(f"--collector-config: {warning}")
    if options.validation:
        options.validation.check_possible()
    app_registry = AppRegistry(session)
    reference = image_in_registry(session, image, registry)
    built = None
    notes: list[str] = []
    if source is not None:
        reference = source.name(reference, running=False)
        built = build_app(source, reference, app_registry.open(reference), console)
    reference = reference.or_latest()

    def stands(text: str) -> None:
        # The rest is about a site.
        console.stands(f"{text.partition(';')[0]}; run the same command again to continue")

    with console.step("embed") as step:
        step.say(f"reading {reference} and the collector")
        finder = TargetFinder(app_registry.open(reference), options, moves_tags=True)
        target = finder.find(reference)
        existed = isinstance(target, Existing)
        made = embed_target(session, finder, target, stands, step, console)
        if isinstance(target, ToEmbed | ToPrepare):
            ports = listening_ports(options.config)
            notes = telemetry_notes(None, target.base, target.source.config, ports)
        step.say(f"{made.image} {'exists already' if existed else 'is in the registry'}")
    for note in notes:
        console.note(note)
    return {
        "image": {"name": str(made.image), "digest": str(made.digest)},
        "base": {"name": str(made.base), "digest": str(made.base_digest)},
        "collector": made.collector.as_result(),
        "built": not existed,
        "build": built,
        "seconds": dict(console.seconds),
    }
