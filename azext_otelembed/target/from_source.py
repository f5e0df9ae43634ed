"""Builds the app image from the team's own source: its name, the build, the push."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from azext_otelembed.builders.docker import DockerBuilder
from azext_otelembed.builders.source import Builder, Source, default_tag, find_source
from azext_otelembed.console import Console
from azext_otelembed.errors import InvalidInput
from azext_otelembed.image.reference import Reference
from azext_otelembed.registry.client import RegistryClient


@dataclass(frozen=True, slots=True)
class AppSource:
    """The app's source, its builder, and the app image's tag if --tag gives one."""

    source: Source
    builder: Builder
    tag: str | None = None

    def name(self, image: Reference, *, running: bool) -> Reference:
        """The app image's name: `image`, with the tag of --tag or --image, else `default_tag`.

        `running`: `image` is the one that the site runs, so only its repository counts. Raises
        `InvalidInput` where --image and --tag contradict each other, or --image has a digest.
        """
        if running:
            image = replace(image, tag=None, digest=None)
        if image.digest is not None:
            raise InvalidInput(
                f"--image names {image} by its digest, but --source builds a new image.",
                "Give a repository, or a repository and a tag.",
            )
        if image.tag is not None and self.tag not in (None, image.tag):
            raise InvalidInput(
                f"--image '{image}' and --tag '{self.tag}' name two tags for the app image.",
                "Give one of the two.",
            )
        return image.with_tag(self.tag or image.tag or default_tag(self.source.directory))


def build_app(
    app: AppSource, image: Reference, client: RegistryClient, console: Console
) -> dict[str, Any]:
    """Builds the source and pushes it as `image`; returns the build's part of the result object.

    The builder's own output goes to stderr as it comes. Raises `BuildFailed`, `Unauthorized`.
    """
    with console.step("build") as step:
        step.say("preparing the build")
        tool = app.builder.prepare(client.deadline)
        step.say(f"building {image} with {tool}")
        console.plain(f"build: {step.detail}")
        again = "run the same command again to continue"
        console.stands(f"{image} may have been pushed; nothing else was changed: {again}")
        facts = app.builder.build(app.source, image, client, console.tell)
        step.say(f"{image} built with {tool} and pushed")
    console.stands(f"{image} was built and pushed; nothing else was changed: {again}")
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
    """The source that --source and the options beside it name; None without --source.

    `azure` is the builder of `--builder acr`. Raises `InvalidInput`.
    """
    if source is None:
        needs = {"file": file, "build-arg": build_args, "target": target, "builder": builder}
        for option, value in needs.items():
            if value:
                raise InvalidInput(
                    f"--{option} requires --source.",
                    "Add `--source DIR`, the directory that holds the Dockerfile.",
                )
        return None
    arguments = [argument for several in build_args or () for argument in several]
    found = find_source(source, file, arguments, target)
    used = azure if builder == "acr" and azure is not None else DockerBuilder()
    return AppSource(found, used, tag)
