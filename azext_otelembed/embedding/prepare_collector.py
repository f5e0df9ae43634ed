"""The collector in the registry: found prepared, or brought in and prepared once.

Its home is `otelembed/collector`. Two tags lead to one small document there (`image.collector`):
`<version>-<12 hex of upstream's digest>`, and one that follows from the reference alone, so that
in steady state one request to our own registry answers and upstream is never asked. A tag with a
full version (`0.150.0`) is taken to stay what it is; others, such as `latest`, are looked up
upstream each time, and the registry's own copy serves where upstream can't be reached.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from azext_otelembed.collector import config as collector_config
from azext_otelembed.embedding.base_images import read_manifest
from azext_otelembed.embedding.binary_layer import bring_binary
from azext_otelembed.embedding.upstream_image import Upstream, read_upstream, take_apart
from azext_otelembed.errors import (
    InvalidImage,
    NotFound,
    OtelembedError,
    Refused,
    RegistryFailed,
    Unauthorized,
    about,
)
from azext_otelembed.image.descriptor import Descriptor, Family
from azext_otelembed.image.layer import Glue, make_ca_layer, make_glue
from azext_otelembed.image.manifest import Manifest, parse_manifest
from azext_otelembed.image.prepared_collector import (
    EMPTY,
    REPOSITORY,
    CollectorLayer,
    PreparedCollector,
    make_prepared,
    parse_prepared,
    prepared_tag,
)
from azext_otelembed.image.reference import Digest, Reference
from azext_otelembed.parallel import together
from azext_otelembed.progress import Progress, Report, Sum, silent
from azext_otelembed.registry import transfer
from azext_otelembed.registry.client import RegistryClient
from azext_otelembed.registry.scope import pull, push

IMPORTED = "otelembed/upstream"
"""Where a collector image lands that ACR imports server side."""

GLUE_TYPE = "application/vnd.otelembed.glue.v1+json"

Importer = Callable[[Reference, str], None]
"""`(image, "repository:tag")`: copies the image into the target registry, server side."""

_FULL_VERSION = re.compile(r"\d+\.\d+")


def find_prepared(client: RegistryClient, reference: Reference) -> PreparedCollector | None:
    """The collector that `reference` names, if it is prepared in the registry: one request."""
    return _find(client, alias(reference.or_latest()))


def alias(reference: Reference) -> str:
    """The tag in `otelembed/collector` that follows from a collector's name alone."""
    if reference.digest is not None:
        return prepared_tag(_version(reference), reference.digest)
    name = Digest.of(f"{reference.name}:{reference.tag}".encode())
    return prepared_tag(f"{_version(reference)}-of", name)


def bring_in(
    target: RegistryClient,
    reference: Reference,
    source: RegistryClient,
    importer: Importer | None = None,
    report: Report = silent,
) -> PreparedCollector:
    """The collector that `reference` names, prepared in `target`; does what is still missing.

    `source` is a client of the registry that `reference` names. `importer` is tried first; where it
    raises (the caller may not import, the registry can't reach the source) the image is copied
    through this machine. Raises `NotFound`, `Unauthorized`, `RegistryFailed`, or `Refused` for a
    collector image whose layout can't be used.
    """
    reference = reference.or_latest()
    lasting = reference.digest is not None or _FULL_VERSION.search(reference.tag or "")
    found = find_prepared(target, reference)
    if found is not None and lasting:
        return found
    # Where the registry can fetch it by itself, this machine needs no way to the source at all.
    newest = None if lasting and importer is not None else _look_upstream(source, reference)
    if newest is None and found is not None:
        return found
    if newest is not None:
        current = _find(target, prepared_tag(_version(reference), newest.digest))
        if current is not None:
            _put(target, current, alias(reference))
            return current
    target.expect(push(REPOSITORY), pull(IMPORTED))
    failed: OtelembedError | None = None
    if importer is not None:
        try:
            upstream = _imported(target, reference, newest, importer, report)
        except Refused:
            raise
        except OtelembedError as error:
            failed = error
            report(Progress(f"not imported ({error.message}): copying through this machine"))
        else:
            return _prepare(target, upstream, reference, report)
    try:
        newest = newest or read_manifest(source, reference)
        upstream = read_upstream(source, reference.repository, reference, newest)
        return _prepare(target, upstream, reference, report)
    except (NotFound, Unauthorized, RegistryFailed) as error:
        if failed is None:
            raise
        kind = NotFound if isinstance(failed, NotFound) else type(error)
        raise kind(
            f"{error.message} Registry '{target.host}' couldn't import it either: {failed.message}",
            error.recommendation or failed.recommendation,
        ) from None


def _look_upstream(source: RegistryClient, reference: Reference) -> Manifest | None:
    """The image's manifest upstream; None where upstream can't be asked from here."""
    try:
        return read_manifest(source, reference)
    except (RegistryFailed, Unauthorized):
        return None


def _imported(
    target: RegistryClient,
    reference: Reference,
    newest: Manifest | None,
    importer: Importer,
    report: Report,
) -> Upstream:
    """Import the image, linux/amd64 alone where its digest is known, and read what arrived."""
    report(Progress(f"importing {reference} into {target.host}"))
    tag = alias(reference)
    wanted = replace(reference, tag=None, digest=newest.digest) if newest else reference
    importer(wanted, f"{IMPORTED}:{tag}")
    manifest = read_manifest(target, Reference(target.host, IMPORTED, tag))
    return read_upstream(target, IMPORTED, reference, manifest)


def _prepare(
    target: RegistryClient, upstream: Upstream, reference: Reference, report: Report
) -> PreparedCollector:
    """Put the binary's layer, the CA layer and the document about them into the registry."""
    parts = take_apart(upstream, report)
    certificates = make_ca_layer(parts.bundle)
    total = Sum(report, f"copying {upstream.name} to {target.host}")
    report_certificates = total.part(len(certificates.data))

    def bring_the_rest() -> None:
        transfer.upload(target, REPOSITORY, certificates.digest, certificates.data)
        report_certificates(Progress("", len(certificates.data)))
        transfer.upload(target, REPOSITORY, Digest.of(EMPTY), EMPTY)

    (binary, path), _ = together(
        partial(bring_binary, target, upstream, parts, report, total), bring_the_rest
    )
    report(Progress(f"preparing {reference} in {target.host}"))
    with about(f"collector image {reference}"):
        prepared = make_prepared(
            # The digest alone tells what it is: a registry's own copy has the same.
            replace(reference, digest=upstream.manifest.digest),
            _version(reference),
            path,
            [binary, _certificates(certificates)],
        )
    together(
        partial(_keep_default, target, path),
        partial(_put, target, prepared, prepared.tag),
        partial(_put, target, prepared, alias(reference)),
    )
    return prepared


def _certificates(layer: Glue) -> CollectorLayer:
    return CollectorLayer(layer.descriptor(Family.OCI), layer.diff_id, "certificates")


def _keep_default(target: RegistryClient, path: str) -> None:
    """Lay the default configuration's layer beside the collector: an embed then mounts it too."""
    glue = make_glue(collector_config.default(), path)
    transfer.upload(target, REPOSITORY, glue.digest, glue.data)
    empty = Descriptor("application/vnd.oci.empty.v1+json", len(EMPTY), Digest.of(EMPTY))
    document = {
        "schemaVersion": 2,
        "mediaType": Family.OCI.manifest_type,
        "artifactType": GLUE_TYPE,
        "config": empty.to_document(),
        "layers": [glue.descriptor(Family.OCI).to_document()],
    }
    # A manifest that names it keeps it from being collected as garbage.
    manifest = Manifest.of(Family.OCI, document)
    target.put_manifest(
        REPOSITORY, f"default-{glue.digest.short}", manifest.data, manifest.media_type
    )


def _put(target: RegistryClient, prepared: PreparedCollector, tag: str) -> None:
    manifest = prepared.manifest
    target.put_manifest(REPOSITORY, tag, manifest.data, manifest.media_type)


def _find(client: RegistryClient, tag: str) -> PreparedCollector | None:
    try:
        stored = client.get_manifest(REPOSITORY, tag)
        manifest = parse_manifest(stored.data, stored.media_type)
        return parse_prepared(manifest) if isinstance(manifest, Manifest) else None
    except NotFound:
        return None
    except InvalidImage:
        # Not ours, or damaged: what is prepared next replaces it.
        return None


def _version(reference: Reference) -> str:
    return reference.tag or "digest"
