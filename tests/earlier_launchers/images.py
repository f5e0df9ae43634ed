"""Embedded images as the versions of the extension with launchers 1 and 2 made them.

`exec.sh` and `drain.sh` are the scripts of launcher 1, with the default options; those of launcher
2 begin with the start line. A unit test holds the images against the digests that those versions
computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from azext_otelembed.image import labels as names
from azext_otelembed.image.embed import Embedded, Upload
from azext_otelembed.image.image_config import ImageConfig
from azext_otelembed.image.json_document import dump, load
from azext_otelembed.image.manifest import Manifest
from azext_otelembed.image.provenance import settings_digest, with_config
from azext_otelembed.image.recipe import Recipe, recipe_tag

SCRIPTS = {kind: (Path(__file__).parent / f"{kind}.sh").read_text() for kind in ("exec", "drain")}


EARLIER = (1, 2)
_START = "trap '' PIPE; echo 'otelembed: {} starts' >&2 2>/dev/null || :; trap - PIPE\n"


def _script(version: int, kind: str, recipe: Recipe) -> str:
    start = _START.format(recipe.digest.short) if version == 2 else ""
    return start + SCRIPTS[kind]


def by_earlier_launcher(embedded: Embedded, version: int) -> Embedded:
    """The image that an earlier launcher of the same kind and the default options would have."""
    kind = embedded.recipe.launcher.partition("/")[0]
    recipe = replace(embedded.recipe, launcher=f"{kind}/{version}")
    ours = {names.RECIPE: str(recipe.digest), names.LAUNCHER: recipe.launcher}
    settings = dict(embedded.config.settings)
    shell_path, option, _, *words = settings["Entrypoint"]
    settings["Entrypoint"] = [shell_path, option, _script(version, kind, recipe), *words]
    restore = load(settings["Labels"][names.RESTORE].encode(), names.RESTORE)
    settings["Labels"] = {**settings["Labels"], **ours}
    restore["seal"] = settings_digest(settings)
    settings["Labels"][names.RESTORE] = dump(restore).decode()
    config = ImageConfig.of({**embedded.config.document, "config": settings})
    document = _annotated(embedded.manifest.document, ours)
    manifest = Manifest.of(embedded.manifest.family, with_config(document, config.data))
    base_tag = str(embedded.reference.tag).partition("-otelembed-")[0]
    reference = embedded.reference.with_tag(recipe_tag(base_tag, recipe))
    return replace(
        embedded,
        reference=reference.with_digest(manifest.digest),
        digest=manifest.digest,
        manifest=manifest,
        config=config,
        uploads=(embedded.uploads[0], Upload(config.digest, config.data)),
        recipe=recipe,
    )


def _annotated(document: Mapping[str, Any], ours: Mapping[str, str]) -> dict[str, Any]:
    if "annotations" not in document:  # Docker's family
        return dict(document)
    return {**document, "annotations": {**document["annotations"], **ours}}
