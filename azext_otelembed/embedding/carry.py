"""A base image out of the registry, an embedded one into it."""

from __future__ import annotations

from dataclasses import replace

from azext_otelembed.embedding.explained import explained
from azext_otelembed.embedding.shell import check_shell
from azext_otelembed.errors import NotFound, Refused, RegistryFailed
from azext_otelembed.image.collector import REPOSITORY
from azext_otelembed.image.config import parse_config
from azext_otelembed.image.embed import Base, Embedded, original
from azext_otelembed.image.launcher import SHELL, unwrap
from azext_otelembed.image.manifest import Index, Manifest, parse_manifest, platform_choices
from azext_otelembed.image.origin import recorded_base
from azext_otelembed.image.reference import Digest, Reference
from azext_otelembed.registry import transfer
from azext_otelembed.registry.client import RegistryClient
from azext_otelembed.registry.progress import Progress, Report, silent

# An index within an index is rare, and deeper ones unheard of; a registry may hold anything.
_DEEPEST = 3
_MOST_CHOICES = 4


def load_base(client: RegistryClient, reference: Reference) -> Base:
    """Read an image's manifest and configuration: three requests on ACR, one more from an index.

    Raises `NotFound`, `Unauthorized`, `RegistryFailed`, and `Refused` for what is no linux/amd64
    image.
    """
    manifest = read_manifest(client, reference)
    data = client.get_blob(reference.repository, manifest.config.digest)
    with explained(str(reference)):
        return Base(reference, manifest.digest, manifest, parse_config(data))


def read_manifest(client: RegistryClient, reference: Reference) -> Manifest:
    """The manifest of the image's linux/amd64 variant."""
    try:
        found = _read(client, reference, reference.digest or reference.selector)
    except NotFound:
        raise _missing(reference) from None
    return _inside(client, reference, found, _DEEPEST) if isinstance(found, Index) else found


def _inside(client: RegistryClient, reference: Reference, index: Index, levels: int) -> Manifest:
    """The manifest that an index leads to, through further indexes if need be."""
    if not levels:
        raise Refused(
            f"{reference} is an index of indexes, more than {_DEEPEST} deep.",
            "Name the image for linux/amd64 by its digest: `--image repository@sha256:…`.",
        )
    with explained(str(reference)):
        choices = platform_choices(index)
    problem: Refused | None = None
    for choice in choices[:_MOST_CHOICES]:
        found = _read(client, reference, choice.digest)
        if isinstance(found, Manifest):
            return found
        try:
            return _inside(client, reference, found, levels - 1)
        except Refused as other_platforms:
            problem = problem or other_platforms
    assert problem is not None  # noqa: S101  # there is one choice at least
    raise problem


def source_of(client: RegistryClient, base: Base) -> Base:
    """`base` itself, or what is below when a collector is embedded in it already.

    Nothing is asked of the registry, unless an early version embedded it: those didn't record how
    to undo it, and the base that they name is read. Raises `NotFound` where that is gone.
    """
    with explained(str(base.reference)):
        recorded = recorded_base(base.config)
        if recorded is None:
            return original(base)
    try:
        return load_base(client, replace(recorded, registry=client.host))
    except NotFound:
        raise NotFound(
            f"{base.reference} was embedded by an early version of otelembed, and the image it was "
            f"made from, {recorded}, is not in the registry any more.",
            "Push the app image again and name it with --image.",
        ) from None


def resolve(client: RegistryClient, reference: Reference) -> Digest:
    """The digest of the image's linux/amd64 manifest: one request, two where there is an index."""
    stored = client.head_manifest(reference.repository, reference.digest or reference.selector)
    if stored is None:
        raise _missing(reference)
    if "index" in stored.media_type or "manifest.list" in stored.media_type:
        return read_manifest(client, reference.with_digest(stored.digest)).digest
    return stored.digest


def is_there(client: RegistryClient, embedded: Embedded) -> bool:
    """Whether the registry holds this very image under its tag: one request."""
    name = embedded.reference
    stored = client.head_manifest(name.repository, name.tag or embedded.digest)
    return stored is not None and stored.digest == embedded.digest


def check_base_shell(client: RegistryClient, base: Base, report: Report = silent) -> None:
    """Raises `Refused` for a base without a shell, as `carry_out` does for what is made of it."""
    config = base.config
    words = [*config.entrypoint, *config.cmd]
    name = base.reference
    layers = base.manifest.layers
    check_shell(client, str(name), name.repository, words, config, layers, report)


def carry_out(
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
    with explained(str(embedded.reference)):
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
            client.upload(name.repository, blob.digest, blob.data, mount_from=beside)
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


def _missing(reference: Reference) -> NotFound:
    return NotFound(f"Image {reference} was not found.", "Check the repository and the tag.")


def _read(client: RegistryClient, reference: Reference, ref: str | Digest) -> Manifest | Index:
    stored = client.get_manifest(reference.repository, ref)
    with explained(str(reference)):
        return parse_manifest(stored.data, stored.media_type)
