"""Prepares a collector in a registry: finds it there, or imports or copies it once."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial

from azext_otelembed.collector import config as collector_config
from azext_otelembed.embedding import prepared_store
from azext_otelembed.embedding.base_images import read_manifest
from azext_otelembed.embedding.binary_layer import store_binary_layer
from azext_otelembed.embedding.prepared_store import UPSTREAM_REPOSITORY, Importer
from azext_otelembed.embedding.upstream_image import (
    UpstreamImage,
    find_collector_files,
    read_upstream,
)
from azext_otelembed.errors import DeadlineExceeded, NotFound, OtelembedError, Refused, about
from azext_otelembed.image.descriptor import Family
from azext_otelembed.image.layer import make_ca_layer, make_config_layer
from azext_otelembed.image.manifest import EMPTY, Manifest, artifact_document
from azext_otelembed.image.prepared_collector import (
    REPOSITORY,
    CollectorLayer,
    PreparedCollector,
    make_prepared_collector,
    parse_prepared_collector,
    prepared_tag,
)
from azext_otelembed.image.reference import Digest, Reference
from azext_otelembed.parallel import run_concurrently
from azext_otelembed.progress import CombinedProgress, Progress, Report, discard
from azext_otelembed.registry import transfer
from azext_otelembed.registry.client import RegistryClient

DEFAULT_CONFIG_TYPE = "application/vnd.otelembed.glue.v1+json"


def find_prepared(client: RegistryClient, reference: Reference) -> PreparedCollector | None:
    """The collector that `reference` names, if it is prepared in the registry: one request."""
    tag = prepared_tag(reference.or_latest())
    return prepared_store.find(client, tag, parse_prepared_collector)


def prepare_collector(
    target: RegistryClient,
    reference: Reference,
    source: RegistryClient,
    importer: Importer | None = None,
    report: Report = discard,
) -> PreparedCollector:
    """The collector that `reference` names, prepared in `target`; an existing one is reused.

    `source` is a client of the registry that `reference` names. `importer` is tried first. If it
    fails (the caller may not import, or the target registry can't reach the source), the image is
    copied through this machine. Raises `NotFound`, `Unauthorized`, `RegistryFailed`, or `Refused`
    for a collector image with an unsupported layout.
    """
    reference = reference.or_latest()
    found = find_prepared(target, reference)
    if found is not None and prepared_store.is_immutable(reference):
        return found
    # An import needs no access from this machine to the source registry.
    newest: Manifest | None = None
    if importer is None or not prepared_store.is_immutable(reference):
        with suppress(*prepared_store.UNREACHABLE):
            newest = read_manifest(source, reference)
    if newest is None and found is not None:
        return found
    if newest is not None:
        current = find_prepared(target, reference.with_digest(newest.digest))
        if current is not None:
            prepared_store.put(target, current.manifest, prepared_tag(reference))
            return current
    prepared_store.expect_access(target)
    import_error: OtelembedError | None = None
    if importer is not None:
        try:
            upstream = _import(target, reference, newest, importer, report)
        except (Refused, DeadlineExceeded):
            raise
        except OtelembedError as error:
            import_error = error
            report(Progress(f"import failed ({error.message}): copying through this machine"))
        else:
            return _prepare(target, upstream, reference, report)
    try:
        newest = newest or read_manifest(source, reference)
        upstream = read_upstream(source, reference.repository, reference, newest)
        return _prepare(target, upstream, reference, report)
    except (NotFound, *prepared_store.UNREACHABLE) as error:
        if import_error is None:
            raise
        kind = NotFound if isinstance(import_error, NotFound) else type(error)
        raise prepared_store.import_failed(kind, target.host, error, import_error) from None


def _import(
    target: RegistryClient,
    reference: Reference,
    newest: Manifest | None,
    importer: Importer,
    report: Report,
) -> UpstreamImage:
    """Import the image server side; only linux/amd64 if the digest of that variant is known."""
    image = replace(reference, tag=None, digest=newest.digest) if newest else reference
    manifest = prepared_store.import_image(target, image, prepared_tag(reference), importer, report)
    return read_upstream(target, UPSTREAM_REPOSITORY, reference, manifest)


def _prepare(
    target: RegistryClient, upstream: UpstreamImage, reference: Reference, report: Report
) -> PreparedCollector:
    """Store the binary's layer, the CA layer and the document that describes them."""
    files = find_collector_files(upstream, report)
    certificates = make_ca_layer(files.ca_bundle)
    total = CombinedProgress(report, f"copying {upstream.name} to {target.host}")
    report_certificates = total.add(len(certificates.data))

    def upload_small_blobs() -> None:
        transfer.upload(target, REPOSITORY, certificates.digest, certificates.data)
        report_certificates(Progress("", len(certificates.data)))
        transfer.upload(target, REPOSITORY, Digest.of(EMPTY), EMPTY)

    (binary, path), _ = run_concurrently(
        partial(store_binary_layer, target, upstream, files, report, total), upload_small_blobs
    )
    report(Progress(f"preparing {reference} in {target.host}"))
    pinned = reference.with_digest(upstream.manifest.digest)
    with about(f"collector image {reference}"):
        ca_layer = CollectorLayer(
            certificates.descriptor(Family.OCI), certificates.diff_id, "certificates"
        )
        prepared = make_prepared_collector(pinned, path, [binary, ca_layer])
    run_concurrently(
        partial(_put_default_config, target, path),
        partial(prepared_store.put, target, prepared.manifest, prepared_tag(pinned)),
        partial(prepared_store.put, target, prepared.manifest, prepared_tag(reference)),
    )
    return prepared


def _put_default_config(target: RegistryClient, binary_path: str) -> None:
    """Store the default configuration's layer beside the collector, so that embeds mount it."""
    layer = make_config_layer(collector_config.default(), binary_path)
    transfer.upload(target, REPOSITORY, layer.digest, layer.data)
    document = artifact_document(DEFAULT_CONFIG_TYPE, [layer.descriptor(Family.OCI)])
    # A manifest that refers to the layer protects it from garbage collection.
    prepared_store.put(target, Manifest.of(Family.OCI, document), f"default-{layer.digest.short}")
