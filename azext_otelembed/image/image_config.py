"""An image's configuration: its start command, settings, layers and history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image.json_document import Document, dump, load, object_at
from azext_otelembed.image.reference import Digest

_WHAT = "The image's configuration"


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """`data` is the exact blob, `document` the JSON object in it."""

    document: Document
    data: bytes

    @classmethod
    def of(cls, document: Document) -> ImageConfig:
        """A configuration made from a document, with a deterministic rendering."""
        return cls(document, dump(document))

    @property
    def settings(self) -> Document:
        """The object under `config`: entrypoint, labels and other settings of a container."""
        return object_at(self.document, "config")

    @property
    def entrypoint(self) -> tuple[str, ...]:
        """Empty if the image has none."""
        return _word_list(self.settings, "Entrypoint")

    @property
    def cmd(self) -> tuple[str, ...]:
        """Empty if the image has none."""
        return _word_list(self.settings, "Cmd")

    @property
    def labels(self) -> dict[str, str]:
        """Empty if the image has none."""
        return object_at(self.settings, "Labels")

    @property
    def os(self) -> str:
        """E.g. "linux"; empty if missing."""
        return str(self.document.get("os") or "")

    @property
    def architecture(self) -> str:
        """E.g. "amd64"; empty if missing."""
        return str(self.document.get("architecture") or "")

    @property
    def created(self) -> str | None:
        """RFC 3339 time of the build; None if missing."""
        found = self.document.get("created")
        return found if isinstance(found, str) else None

    @property
    def diff_ids(self) -> tuple[Digest, ...]:
        """Digests of the uncompressed layers, lowest first."""
        found = object_at(self.document, "rootfs").get("diff_ids") or ()
        return tuple(Digest.parse(text) for text in found)

    @property
    def history(self) -> tuple[dict[str, Any], ...]:
        """The build steps, lowest layer first; empty if missing."""
        return tuple(self.document.get("history") or ())

    @property
    def digest(self) -> Digest:
        """sha256 of the exact bytes."""
        return Digest.of(self.data)


def parse_config(data: bytes) -> ImageConfig:
    """Read an image's configuration. Raises InvalidImage if a field that is used is malformed."""
    document = load(data, _WHAT)
    _check_type(document, "config", dict)
    _check_type(document, "rootfs", dict)
    _check_type(document, "history", list)
    settings = document.get("config") or {}
    _check_type(settings, "Labels", dict)
    for key in ("Entrypoint", "Cmd", "Env"):
        _word_list(settings, key)
    if not all(isinstance(value, str) for value in (settings.get("Labels") or {}).values()):
        raise InvalidImage(f"{_WHAT} has labels that are not text.")
    diff_ids = (document.get("rootfs") or {}).get("diff_ids") or []
    if not isinstance(diff_ids, list) or not all(isinstance(each, str) for each in diff_ids):
        raise InvalidImage(f"{_WHAT} has no list of digests under rootfs.diff_ids.")
    if not all(isinstance(entry, dict) for entry in document.get("history") or []):
        raise InvalidImage(f"{_WHAT} has a history entry that is not an object.")
    config = ImageConfig(document, data)
    _ = config.diff_ids  # raises for malformed digests
    return config


def _check_type(document: Document, key: str, kind: type) -> None:
    found = document.get(key)
    if found is not None and not isinstance(found, kind):
        raise InvalidImage(f"{_WHAT} has a value of the wrong type under '{key}'.")


def _word_list(settings: Document, key: str) -> tuple[str, ...]:
    found = settings.get(key)
    if found is None:
        return ()
    if isinstance(found, str):  # written by old builders for a single word; docker still reads it
        return (found,)
    if not isinstance(found, list) or not all(isinstance(word, str) for word in found):
        raise InvalidImage(f"{_WHAT} has no list of words under '{key}'.")
    return tuple(found)
