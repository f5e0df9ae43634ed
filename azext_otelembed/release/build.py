"""`az otelembed build`: an embedded image in the registry, without any site."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from azext_otelembed.image.launcher import Launcher
from azext_otelembed.target.app_image import image_in_registry
from azext_otelembed.target.finder import TargetFinder
from azext_otelembed.target.from_source import AppSource, build_app

if TYPE_CHECKING:
    from azext_otelembed.azure.session import Session
    from azext_otelembed.console import Console
    from azext_otelembed.registry.auth import Basic


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the caller asks for. `tag` is the embedded image's, `app` the source to build first."""

    image: str
    registry: str | None
    collector_image: str
    collector_config: bytes | None
    tag: str | None
    app: AppSource | None
    unwrap: bool = False
    collector_login: Basic | None = None
    launcher: Launcher = field(default_factory=Launcher)
    shell_image: str | None = None


def build(session: Session, wanted: Wanted, console: Console) -> dict[str, Any]:
    """Makes the embedded image of an app image, unless the registry holds it already.

    Asks Azure Resource Manager only where a registry is given by its name alone, or where the
    collector isn't in the registry yet. Raises the errors of `errors.py`.
    """
    finder = TargetFinder(
        session,
        wanted.collector_image,
        wanted.collector_config,
        wanted.tag,
        unwrap=wanted.unwrap,
        collector_login=wanted.collector_login,
        launcher=wanted.launcher,
        shell_image=wanted.shell_image,
        moves_tags=True,
    )
    for warning in finder.warnings:
        console.note(f"--collector-config: {warning}")
    reference = image_in_registry(session, wanted.image, wanted.registry)
    built = None
    if wanted.app is not None:
        reference = wanted.app.name(reference, wanted.image)
        built = build_app(wanted.app, reference, finder.open(reference), console)

    def stands(text: str) -> None:
        console.stands(text.partition(";")[0])

    with console.step("embed") as step:
        step.say(f"reading {reference} and the collector")
        target = finder.target_for(reference)
        there = target.built
        target = finder.build(target, step, stands)
        step.say(f"{target.image} {'is there already' if there else 'is in the registry'}")
    return {
        "image": {"name": target.image, "digest": target.digest},
        "base": {"name": target.base, "digest": target.base_digest},
        "collector": target.collector_result,
        "built": not there,
        "build": built,
        "seconds": dict(console.seconds),
    }
