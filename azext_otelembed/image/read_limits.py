"""Limits on what is read from an image, all its layers together."""

from __future__ import annotations

from dataclasses import dataclass

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image.tar_reader import Entry

_MAX_LAYERS = 127  # a few more than Docker runs (125; see `embed`)


@dataclass(slots=True)
class ReadLimits:
    """Limits on entries, characters of names and bytes of files; and the counts so far."""

    max_entries: int
    max_name_characters: int
    max_bytes: int
    entries: int = 0
    name_characters: int = 0
    bytes: int = 0

    def count(self, entry: Entry) -> None:
        """Count an entry. Raises InvalidImage if a limit is exceeded."""
        # The reader limits the size of a single file; this limits their sum.
        if self.bytes > self.max_bytes:
            raise InvalidImage(f"Its layers unpack to more than {self.max_bytes >> 20} MiB.")
        self.bytes += entry.size
        self.entries += 1
        if self.entries > self.max_entries:
            raise InvalidImage(f"Its layers hold more than {self.max_entries} files.")
        self.name_characters += len(entry.path) + len(entry.target)
        if self.name_characters > self.max_name_characters:
            raise InvalidImage(
                f"The names of its files take more than {self.max_name_characters >> 20} MiB."
            )


def check_layer_count(count: int) -> None:
    """Raise InvalidImage for more layers than any engine runs."""
    if count > _MAX_LAYERS:
        raise InvalidImage(f"It has {count} layers; at most {_MAX_LAYERS} are read.")
