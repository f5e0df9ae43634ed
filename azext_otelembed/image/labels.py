"""The labels (and OCI annotations) that describe what an embedded image was made of."""

# https://github.com/opencontainers/image-spec/blob/main/annotations.md
BASE_NAME = "org.opencontainers.image.base.name"
BASE_DIGEST = "org.opencontainers.image.base.digest"

VERSION = "dev.otelembed.version"
RECIPE = "dev.otelembed.recipe"
COLLECTOR = "dev.otelembed.collector"
CONFIG = "dev.otelembed.config"
LAUNCHER = "dev.otelembed.launcher"
# The image that an embedded shell comes from; only in images with one.
SHELL = "dev.otelembed.shell"
# The data to restore the base image (`provenance.RestoreData`). A label only, never an annotation.
RESTORE = "dev.otelembed.undo"

PROVENANCE = (BASE_NAME, BASE_DIGEST, VERSION, RECIPE, COLLECTOR, CONFIG, LAUNCHER)
