"""The app image out of the team's own source: named, built and pushed; then a base like any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from azext_otelembed.builders.docker import DockerBuilder
from azext_otelembed.builders.source import Builder, Source, default_tag, find_source
from azext_otelembed.errors import InvalidInput
from azext_otelembed.image.reference import Reference
from azext_otelembed.target.app_image import parsed

if TYPE_CHECKING:
    from azext_otelembed.console import Console
    from azext_otelembed.registry.client import RegistryClient


@dataclass(frozen=True, slots=True)
class AppSource:
    """The app's source, what builds it, and the tag that the app image shall have, if told."""

    source: Source
    builder: Builder
    tag: str | None = None

    def name(self, repository: Reference, image: str | None) -> Reference:
        """The app image's name in the registry and repository at hand.

        `image` is what --image said, which may hold the tag as well as --tag. Without either the
        source tells: see `default_tag`.
        """
        told = parsed(image, "--image") if image is not None else None
        if told is not None and told.digest is not None:
            raise InvalidInput(
                f"--image '{image}' names an image by its digest, but --source builds a new one.",
                "Give a repository, or a repository and a tag.",
            )
        tag = told.tag if told is not None else None
        if tag is not None and self.tag not in (None, tag):
            raise InvalidInput(
                f"--image '{image}' and --tag '{self.tag}' name two tags for the app image.",
                "Give one of the two.",
            )
        wanted = self.tag or tag or default_tag(self.source.directory)
        return replace(repository, tag=wanted, digest=None)


def build_app(
    app: AppSource, image: Reference, client: RegistryClient, console: Console
) -> dict[str, Any]:
    """Build the source and push it as `image`; what the result object says about it.

    The builder's own output goes to stderr as it comes. Raises `BuildFailed`, `Unauthorized`.
    """
    with console.step("build") as step:
        step.say("looking for what can build")
        means = app.builder.prepare()
        step.say(f"building {image} with {means}")
        console.plain(f"build: {step.detail}")
        console.stands(f"{image} may have been pushed; nothing else was changed")
        facts = app.builder.build(app.source, image, client, console.tell)
        step.say(f"{image} built with {means} and pushed")
    console.stands(f"{image} was built and pushed; nothing else was changed")
    return {"builder": app.builder.name, "image": str(image), **facts}


def app_source(
    source: str | None,
    file: str | None,
    build_args: Sequence[Sequence[str]] | None,
    target: str | None,
    builder: str | None,
    tag: str | None,
    azure: Builder | None = None,
) -> AppSource | None:
    """What --source and its companions say; None without --source. Raises `InvalidInput`.

    `azure` is what `--builder acr` means, for whoever has a session.
    """
    if source is None:
        companions = {"file": file, "build-arg": build_args, "target": target, "builder": builder}
        for option, value in companions.items():
            if value:
                raise InvalidInput(
                    f"--{option} says how to build, but not what: --source is missing.",
                    "Add `--source DIR`, the directory that holds the Dockerfile.",
                )
        return None
    arguments = [argument for several in build_args or () for argument in several]
    found = find_source(source, file, arguments, target)
    means = azure if builder == "acr" and azure is not None else DockerBuilder()
    return AppSource(found, means, tag)
