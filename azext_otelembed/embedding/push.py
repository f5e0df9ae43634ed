"""Pushes an embedded image to its base's registry: mounts and uploads layers, puts the manifest."""

from __future__ import annotations

from azext_otelembed.embedding.shell_check import check_shell
from azext_otelembed.errors import NotFound, about
from azext_otelembed.image import labels
from azext_otelembed.image.embed import Base, Embedded
from azext_otelembed.image.launcher import SHELL, unwrap_entrypoint
from azext_otelembed.image.manifest import Manifest, parse_manifest
from azext_otelembed.image.prepared_collector import REPOSITORY
from azext_otelembed.image.reference import Digest
from azext_otelembed.progress import Progress, Report, discard
from azext_otelembed.registry import transfer
from azext_otelembed.registry.client import RegistryClient


def check_base_shell(client: RegistryClient, base: Base, report: Report = discard) -> None:
    """Raise `Refused` for a base without a shell, as `push_embedded` does later."""
    name, config = base.reference, base.config
    words = [*config.entrypoint, *config.cmd]
    check_shell(client, str(name), name.repository, words, config, base.manifest.layers, report)


def push_embedded(client: RegistryClient, embedded: Embedded, report: Report = discard) -> None:
    """Push an embedded image to the registry that has its base and the prepared collector.

    At most seven requests if the registry supports mounts: one for each mount, two for each upload
    (one for the default configuration's layer), one for the manifest. Idempotent. Raises `Refused`,
    before anything is written, for a base without a shell.
    """
    with about(str(embedded.reference)):
        manifest = parse_manifest(embedded.manifest, embedded.media_type)
    assert isinstance(manifest, Manifest)  # noqa: S101  # `embed` makes no indexes
    _check_shell(client, embedded, manifest, report)
    name = embedded.reference
    sizes = {layer.digest: layer.size for layer in manifest.layers}
    for digest in embedded.mounts:
        report(Progress("mounting the collector's layers"))
        _mount(client, name.repository, digest, sizes[digest], report)
    for blob in embedded.uploads:
        report(Progress("uploading the configuration"))
        # The default configuration's layer is stored beside the collector: see prepare_collector.
        mount_from = REPOSITORY if blob.digest in sizes else None
        transfer.upload(client, name.repository, blob.digest, blob.data, mount_from=mount_from)
    report(Progress(f"writing {name.repository}:{name.tag}"))
    client.put_manifest(
        name.repository, name.tag or embedded.digest, embedded.manifest, embedded.media_type
    )


def _mount(
    client: RegistryClient, repository: str, digest: Digest, size: int, report: Report
) -> None:
    try:
        transfer.mount_or_copy(client, repository, digest, size, REPOSITORY, report=report)
    except NotFound as missing:
        raise NotFound(
            f"The collector in registry '{client.host}' is incomplete: {missing.message}",
            f"Delete the repository {REPOSITORY} (`az acr repository delete -n "
            f"{client.host.partition('.')[0]} --repository {REPOSITORY}`): the next deploy "
            "prepares the collector again.",
        ) from None


def _check_shell(
    client: RegistryClient, embedded: Embedded, manifest: Manifest, report: Report
) -> None:
    """Check the base's shell, from the base's layers and words in the embedded image.

    An image with an embedded shell isn't checked.
    """
    config = embedded.config
    if config.entrypoint[0] != SHELL:
        return
    added = {*embedded.mounts, *(blob.digest for blob in embedded.uploads)}
    words = [*(unwrap_entrypoint(config.entrypoint) or ()), *config.cmd]
    layers = [layer for layer in manifest.layers if layer.digest not in added]
    base = config.labels.get(labels.BASE_NAME) or str(embedded.reference)
    check_shell(client, base, embedded.reference.repository, words, config, layers, report)
