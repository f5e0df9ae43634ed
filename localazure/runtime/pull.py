"""Image pull: from a site's image reference to an unpacked image, with the site's credentials."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from localazure.acr.access import may_pull
from localazure.acr.store import Store
from localazure.runtime import layers
from localazure.runtime.image import ConfigurationError, ImageConfig
from localazure.runtime.reference import Reference
from localazure.state import Registry, Site, State

_CHUNK = 1 << 20


class PullError(RuntimeError):
    """The pull failed. `code` is App Service's name for the reason."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Pulled:
    """An unpacked image. Containers share `rootfs`, so it must not be written to.

    `layers` are the digests of the layers that this pull transferred: none if the image was there.
    """

    reference: Reference
    digest: str
    rootfs: Path
    config: ImageConfig
    layers: tuple[str, ...]


class Images:
    """The pulled images, each unpacked once, by the digest of its manifest."""

    def __init__(self, state: State, store: Store, directory: Path) -> None:
        self._state = state
        self._store = store
        self._directory = directory
        self._unpacking: dict[str, asyncio.Task[tuple[ImageConfig, Path]]] = {}
        self._layers: dict[str, Path] = {}

    async def pull(self, site: Site, image: str) -> Pulled:
        """Pull the site's image for linux/amd64. Raises PullError."""
        reference = Reference.parse(image)
        registry = self._registry(reference, image)
        if not _allowed(self._state, registry, reference, site):
            raise PullError(
                "ImagePullUnauthorizedFailure",
                f"Failed to pull image: {image}. Image pull failed with forbidden or "
                "unauthorized. Check registry credentials.",
            )
        digest, manifest = self._manifest(registry, reference, image)
        fresh = not self._folder(digest).exists()
        if (unpacking := self._unpacking.get(digest)) is None:
            unpacking = asyncio.create_task(asyncio.to_thread(self._unpack, digest, manifest))
            self._unpacking[digest] = unpacking
            unpacking.add_done_callback(lambda _: self._unpacking.pop(digest))
        try:
            # A start that is cancelled must not make the next one unpack the image a second time.
            config, rootfs = await asyncio.shield(unpacking)
        except (layers.LayerError, ConfigurationError, tarfile.TarError, OSError) as error:
            raise _failure(image, str(error)) from error
        transferred = tuple(str(layer["digest"]) for layer in manifest["layers"] if fresh)
        return Pulled(reference, digest, rootfs, config, transferred)

    def _folder(self, digest: str) -> Path:
        return self._directory / digest.removeprefix("sha256:")[:24]

    def _registry(self, reference: Reference, image: str) -> Registry:
        try:
            return self._state.registry(reference.registry)
        except KeyError:
            raise _failure(image, f"no such host: {reference.registry}") from None

    def _manifest(
        self, registry: Registry, reference: Reference, image: str
    ) -> tuple[str, dict[str, Any]]:
        """The digest and document of the manifest for linux/amd64."""
        version = reference.version
        while True:
            found = self._store.get_manifest(registry.login_server, reference.repository, version)
            if found is None:
                raise _failure(image, f"manifest for {image} not found: manifest unknown")
            digest, _, data = found
            document: dict[str, Any] = json.loads(data)
            if "manifests" not in document:
                return digest, document
            version = _linux_amd64(document, image)

    def _unpack(self, digest: str, manifest: dict[str, Any]) -> tuple[ImageConfig, Path]:
        config_file = self._store.open_blob(manifest["config"]["digest"])
        data = config_file.read_bytes()
        document = json.loads(data)
        platform = f"{document.get('os')}/{document.get('architecture')}"
        if platform != "linux/amd64":
            raise ConfigurationError(f"the image is for {platform}, not for linux/amd64")
        config = ImageConfig.parse(data)
        rootfs = self._folder(digest)
        if not rootfs.exists():
            self._directory.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(dir=self._directory, prefix="new-"))
            try:
                temporary.chmod(0o755)
                for descriptor, diff_id in zip(manifest["layers"], config.diff_ids, strict=True):
                    self._apply(temporary, descriptor["digest"], diff_id)
                temporary.rename(rootfs)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise
        return config, rootfs

    def _apply(self, root: Path, digest: str, diff_id: str) -> None:
        layer = self._layer(digest)
        if layer.name != diff_id.removeprefix("sha256:"):
            raise layers.LayerError(f"wrong diff id calculated on extraction of {digest}")
        with tarfile.open(layer / "tar", mode="r:") as tar:
            layers.apply(root, tar, layer)

    def _layer(self, digest: str) -> Path:
        """The folder of a layer, named by its diff id: `tar`, and files that images share."""
        if digest not in self._layers:
            hasher = hashlib.sha256()
            temporary = Path(tempfile.mkdtemp(dir=self._directory, prefix="new-"))
            try:
                packed = self._store.open_blob(digest).open("rb")
                with packed, (temporary / "tar").open("wb") as plain:
                    for chunk in _unpacked(packed):
                        hasher.update(chunk)
                        plain.write(chunk)
                layer = self._directory / "layers" / hasher.hexdigest()
                layer.parent.mkdir(exist_ok=True)
                if not layer.exists():
                    with contextlib.suppress(OSError):  # made for another image meanwhile
                        temporary.rename(layer)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
            self._layers[digest] = layer
        return self._layers[digest]


def _allowed(state: State, registry: Registry, reference: Reference, site: Site) -> bool:
    """Whether the site may pull: with its managed identity, else a password, else anonymously."""
    repository = reference.repository
    if site.config.get("acrUseManagedIdentityCreds") and registry.acr:
        principal = _pull_identity(site)
        # App Service exchanges a token for ARM (MicrosoftDocs/azure-docs#128528).
        if principal is None or not registry.arm_tokens:
            return False
        return may_pull(state, registry, repository, principal)
    settings = site.app_settings
    user = settings.get("DOCKER_REGISTRY_SERVER_USERNAME")
    password = settings.get("DOCKER_REGISTRY_SERVER_PASSWORD")
    if user and password and _is_for(settings.get("DOCKER_REGISTRY_SERVER_URL", ""), reference):
        return may_pull(state, registry, repository, (user, password))
    return may_pull(state, registry, repository, None)


def _pull_identity(site: Site) -> str | None:
    """The principal id of the identity that pulls; None if the site doesn't have it."""
    wanted = site.config.get("acrUserManagedIdentityID")
    if not wanted:
        return site.system_identity.principal_id if site.system_identity else None
    # The setting contains a client id; az documents a resource id, too.
    for identity in site.user_identities:
        names = (identity.client_id, identity.resource_id or "")
        if wanted.lower() in (name.lower() for name in names if name):
            return identity.principal_id
    return None


def _is_for(url: str, reference: Reference) -> bool:
    """Whether registry credentials given for `url` are for the image's registry."""
    host = url.partition("://")[2] or url
    host = host.partition("/")[0].lower()
    hub = {"", "index.docker.io", "docker.io", "registry-1.docker.io"}
    return host == reference.registry.lower() or (host in hub and reference.registry in hub)


def _linux_amd64(index: dict[str, Any], image: str) -> str:
    for entry in index["manifests"]:
        platform = entry.get("platform") or {}
        if (platform.get("os"), platform.get("architecture")) == ("linux", "amd64"):
            return str(entry["digest"])
    raise _failure(image, "no matching manifest for linux/amd64 in the manifest list entries")


def _failure(image: str, why: str) -> PullError:
    return PullError("ImagePullFailure", f"Failed to pull image: {image}. Image pull failed: {why}")


def _unpacked(packed: IO[bytes]) -> Iterator[bytes]:
    """A layer's tar in chunks: gzip, zstd or not compressed, detected by its first bytes."""
    magic = packed.read(4)
    packed.seek(0)
    if magic[:2] == b"\x1f\x8b":
        yield from _gunzip(packed)
    elif magic == b"\x28\xb5\x2f\xfd":
        import zstandard

        with zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True) as plain:
            while chunk := plain.read(_CHUNK):
                yield chunk
    else:
        while chunk := packed.read(_CHUNK):
            yield chunk


def _gunzip(packed: IO[bytes]) -> Iterator[bytes]:
    # zlib releases the GIL for big chunks, so the event loop's thread is not delayed.
    unpacker = zlib.decompressobj(31)
    while data := packed.read(_CHUNK):
        while data:
            try:
                yield unpacker.decompress(data)
            except zlib.error as error:
                raise layers.LayerError(f"broken gzip layer: {error}") from error
            data = b""
            if unpacker.eof:
                data = unpacker.unused_data
                unpacker = zlib.decompressobj(31)
    with contextlib.suppress(zlib.error):
        yield unpacker.flush()
