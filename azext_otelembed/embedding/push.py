"""An embedded image into the registry that holds its base: layers mounted, the rest uploaded."""

from __future__ import annotations

from azext_otelembed.embedding.shell_check import check_shell
from azext_otelembed.errors import NotFound, RegistryFailed, about
from azext_otelembed.image.embed import Base, Embedded
from azext_otelembed.image.launcher import SHELL, unwrap
from azext_otelembed.image.manifest import Manifest, parse_manifest
from azext_otelembed.image.prepared_collector import REPOSITORY
from azext_otelembed.image.reference import Digest
from azext_otelembed.progress import Progress, Report, silent
from azext_otelembed.registry import transfer
from azext_otelembed.registry.client import RegistryClient


def check_base_shell(client: RegistryClient, base: Base, report: Report = silent) -> None:
    """Raises `Refused` for a base without a shell, as `push_embedded` would later."""
    config = base.config
    words = [*config.entrypoint, *config.cmd]
    name = base.reference
    layers = base.manifest.layers
    check_shell(client, str(name), name.repository, words, config, layers, report)


def push_embedded(
    client: RegistryClient,
    embedded: Embedded,
    report: Report = silent,
    *,
    present: frozenset[Digest] = frozenset(),
) -> None:
    """Put an embedded image into the registry that holds its base and the prepared collector.

    `present` are blobs known to be in the repository, such as the layers of an image that is
    already there: they are neither mounted nor uploaded, unless the registry says otherwise.
    At most seven requests where the registry mounts: one for each mount, two for each upload (one
    for the default configuration's layer), one for the manifest. Doing it again does no harm.
    Raises `Refused`, before anything is written, for a base without a shell.
    """
    with about(str(embedded.reference)):
        manifest = parse_manifest(embedded.manifest, embedded.media_type)
    assert isinstance(manifest, Manifest)  # noqa: S101  # `embed` makes no indexes
    _check_shell(client, embedded, manifest, report)
    try:
        _put(client, embedded, manifest, present, report)
    except (RegistryFailed, NotFound) as failed:
        # MANIFEST_BLOB_UNKNOWN (400) or BLOB_UNKNOWN (404): something thought present is not.
        if not present or (isinstance(failed, RegistryFailed) and failed.status != 400):
            raise
        _put(client, embedded, manifest, frozenset(), report)


def _put(
    client: RegistryClient,
    embedded: Embedded,
    manifest: Manifest,
    present: frozenset[Digest],
    report: Report,
) -> None:
    name = embedded.reference
    sizes = {layer.digest: layer.size for layer in manifest.layers}
    for digest in embedded.mounts:
        if digest not in present:
            report(Progress("mounting the collector's layers"))
            _bring(client, name.repository, digest, sizes[digest], report)
    for blob in embedded.uploads:
        if blob.digest not in present:
            report(Progress("uploading the configuration"))
            # The default configuration's layer lies beside the collector: see `bring_in`.
            beside = REPOSITORY if blob.digest in sizes else None
            transfer.upload(client, name.repository, blob.digest, blob.data, mount_from=beside)
    report(Progress(f"writing {name.repository}:{name.tag}"))
    client.put_manifest(
        name.repository, name.tag or embedded.digest, embedded.manifest, embedded.media_type
    )


def _bring(
    client: RegistryClient, repository: str, digest: Digest, size: int, report: Report
) -> None:
    try:
        transfer.bring(client, repository, digest, size, REPOSITORY, report=report)
    except NotFound as missing:
        raise NotFound(
            f"The collector in registry '{client.host}' is incomplete: {missing.message}",
            f"Delete the repository {REPOSITORY} (`az acr repository delete -n "
            f"{client.host.partition('.')[0]} --repository {REPOSITORY}`): the next deploy brings "
            "the collector in again.",
        ) from None


def _check_shell(
    client: RegistryClient, embedded: Embedded, manifest: Manifest, report: Report
) -> None:
    """The base's own layers and words, as the embedded image still has them.

    Nothing is asked where a shell is brought along.
    """
    if embedded.config.entrypoint[0] != SHELL:
        return
    added = {*embedded.mounts, *(blob.digest for blob in embedded.uploads)}
    config = embedded.config
    words = [*(unwrap(config.entrypoint) or ()), *config.cmd]
    layers = [layer for layer in manifest.layers if layer.digest not in added]
    check_shell(
        client,
        config.labels.get("org.opencontainers.image.base.name") or str(embedded.reference),
        embedded.reference.repository,
        words,
        config,
        layers,
        report,
    )
