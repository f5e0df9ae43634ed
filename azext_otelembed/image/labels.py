"""The labels (and OCI annotations) by which an embedded image tells what it was made of."""

from __future__ import annotations

# https://github.com/opencontainers/image-spec/blob/main/annotations.md
BASE_NAME = "org.opencontainers.image.base.name"
BASE_DIGEST = "org.opencontainers.image.base.digest"

PREFIX = "dev.otelembed."
VERSION = f"{PREFIX}version"
RECIPE = f"{PREFIX}recipe"
COLLECTOR = f"{PREFIX}collector"
CONFIG = f"{PREFIX}config"
LAUNCHER = f"{PREFIX}launcher"
# The image that the shell was taken from; only where one was brought along.
SHELL = f"{PREFIX}shell"
# What is needed to take the embedding off again: see undo.py. A label only, never an annotation.
UNDO = f"{PREFIX}undo"

PROVENANCE = (BASE_NAME, BASE_DIGEST, VERSION, RECIPE, COLLECTOR, CONFIG, LAUNCHER)
