"""An image's configuration: what runs, in which environment, and which layers it is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image.json_document import Document, dump, load
from azext_otelembed.image.reference import Digest

_WHAT = "The image's configuration"


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """`data` are the exact bytes of the blob, `document` all its fields as read."""

    document: Document
    data: bytes

    @classmethod
    def of(cls, document: Document) -> ImageConfig:
        """A configuration made from its fields; written the same way every time."""
        return cls(document, dump(document))

    @property
    def settings(self) -> Document:
        """The object under `config`: how a container of this image is started."""
        found = self.document.get("config")
        return found if isinstance(found, dict) else {}

    @property
    def entrypoint(self) -> tuple[str, ...]:
        """Empty where the image has none."""
        return _words(self.settings, "Entrypoint")

    @property
    def cmd(self) -> tuple[str, ...]:
        """Empty where the image has none."""
        return _words(self.settings, "Cmd")

    @property
    def env(self) -> tuple[str, ...]:
        """`NAME=value`, in order."""
        return _words(self.settings, "Env")

    @property
    def labels(self) -> dict[str, str]:
        """Empty where the image has none."""
        found = self.settings.get("Labels")
        return dict(found) if isinstance(found, dict) else {}

    @property
    def user(self) -> str:
        """User, and group after a colon, as text; empty means root."""
        return str(self.settings.get("User") or "")

    @property
    def os(self) -> str:
        """E.g. "linux"; empty where it isn't told."""
        return str(self.document.get("os") or "")

    @property
    def architecture(self) -> str:
        """E.g. "amd64"; empty where it isn't told."""
        return str(self.document.get("architecture") or "")

    @property
    def created(self) -> str | None:
        """RFC 3339 time of building, where the image tells it."""
        found = self.document.get("created")
        return found if isinstance(found, str) else None

    @property
    def diff_ids(self) -> tuple[Digest, ...]:
        """Digests of the uncompressed layers, lowest first."""
        rootfs = self.document.get("rootfs")
        found = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
        return tuple(Digest.parse(text) for text in found or ())

    @property
    def history(self) -> tuple[dict[str, Any], ...]:
        """How the layers came about, lowest first; empty where the image doesn't tell."""
        return tuple(self.document.get("history") or ())

    @property
    def digest(self) -> Digest:
        """sha256 of the exact bytes."""
        return Digest.of(self.data)

    def to_bytes(self) -> bytes:
        """The exact bytes."""
        return self.data


def parse_config(data: bytes) -> ImageConfig:
    """Read an image's configuration. Raises InvalidImage where a field we read is malformed."""
    document = load(data, _WHAT)
    _expect(document, "config", dict)
    _expect(document, "rootfs", dict)
    _expect(document, "history", list)
    settings = document.get("config") or {}
    _expect(settings, "Labels", dict)
    for key in ("Entrypoint", "Cmd", "Env"):
        _words(settings, key)
    if not all(isinstance(value, str) for value in (settings.get("Labels") or {}).values()):
        raise InvalidImage(f"{_WHAT} has labels that are not text.")
    diff_ids = (document.get("rootfs") or {}).get("diff_ids") or []
    if not isinstance(diff_ids, list) or not all(isinstance(each, str) for each in diff_ids):
        raise InvalidImage(f"{_WHAT} has no list of digests under rootfs.diff_ids.")
    if not all(isinstance(entry, dict) for entry in document.get("history") or []):
        raise InvalidImage(f"{_WHAT} has a history entry that is not an object.")
    config = ImageConfig(document, data)
    _ = config.diff_ids  # raises for malformed digests, here rather than at first use
    return config


def _expect(document: Document, key: str, kind: type) -> None:
    found = document.get(key)
    if found is not None and not isinstance(found, kind):
        raise InvalidImage(f"{_WHAT} has something unexpected under '{key}'.")


def _words(settings: Document, key: str) -> tuple[str, ...]:
    found = settings.get(key)
    if found is None:
        return ()
    if isinstance(found, str):  # old builders wrote a single word so; docker still reads it
        return (found,)
    if not isinstance(found, list) or not all(isinstance(word, str) for word in found):
        raise InvalidImage(f"{_WHAT} has something other than a list of words under '{key}'.")
    return tuple(found)
