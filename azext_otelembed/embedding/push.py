"""Pushes an embedded image to its base's registry: mounts and uploads layers, puts the manifest."""

from __future__ import annotations

from dataclasses import replace

from azext_otelembed.embedding.init_check import check_s6_init
from azext_otelembed.embedding.shell_check import check_shell
from azext_otelembed.errors import NotFound
from azext_otelembed.image.embed import Base, Embedded, original
from azext_otelembed.image.launcher import SHELL
from azext_otelembed.image.prepared_collector import REPOSITORY
from azext_otelembed.progress import Progress, Report, discard
from azext_otelembed.registry import transfer
from azext_otelembed.registry.client import RegistryClient


def push_embedded(client: RegistryClient, embedded: Embedded, report: Report = discard) -> None:
    """Push an embedded image to the registry that has its base and the prepared collector.

    At most seven requests if the registry supports mounts: one for each mount, two for each upload
    (one for the default configuration's layer), one for the manifest. Idempotent. Raises `Refused`,
    before anything is written, for a base without a shell or one that doesn't work with the
    launcher.
    """
    name, manifest = embedded.reference, embedded.manifest
    base = original(Base(name, manifest.digest, manifest, embedded.config))
    named = replace(base, reference=replace(base.reference, digest=None))
    if embedded.config.entrypoint[0] == SHELL:  # otherwise a shell is embedded as well
        check_shell(client, named, report)
    check_s6_init(client, named, embedded.recipe.launcher.partition("/")[0], report)
    sizes = {layer.digest: layer.size for layer in manifest.layers}
    for digest in embedded.mounts:
        report(Progress("mounting the collector's layers"))
        size = sizes[digest]
        try:
            transfer.mount_or_copy(client, name.repository, digest, size, REPOSITORY, report)
        except NotFound as missing:
            delete = client.acr_command("repository delete", "--repository", REPOSITORY)
            raise NotFound(
                f"The collector in registry '{client.host}' is incomplete: {missing.message}",
                f"Delete the repository {REPOSITORY} (`{delete}`): the next deploy prepares the "
                "collector again.",
            ) from None
    for blob in embedded.uploads:
        report(Progress("uploading the configuration"))
        # The default configuration's layer is stored beside the collector: see prepare_collector.
        mount_from = REPOSITORY if blob.digest in sizes else None
        transfer.upload(client, name.repository, blob.digest, blob.data, mount_from=mount_from)
    report(Progress(f"writing {name.repository}:{name.tag}"))
    tag = name.tag or manifest.digest
    client.put_manifest(name.repository, tag, manifest.data, manifest.media_type)
