"""How much an image may hold, all its layers together: whoever reads it has an end in sight."""

from __future__ import annotations

from dataclasses import dataclass

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image.tar_reader import Entry

MOST_LAYERS = 127
"""Layers that an image may have: a few more than Docker stacks (125; see `embed`)."""


@dataclass(slots=True)
class Bounds:
    """The most entries, characters of names and bytes of files; and how many there were so far."""

    most_entries: int
    most_names: int
    most_bytes: int
    entries: int = 0
    names: int = 0
    bytes: int = 0

    def take(self, entry: Entry) -> None:
        """Count an entry, before it is kept or passed over. Raises InvalidImage past a bound."""
        # One file that is too large is found by whoever unpacks it; this is about many.
        if self.bytes > self.most_bytes:
            raise InvalidImage(f"Its layers unpack to more than {self.most_bytes >> 20} MiB.")
        self.bytes += entry.size
        self.entries += 1
        if self.entries > self.most_entries:
            raise InvalidImage(f"Its layers hold more than {self.most_entries} files.")
        self.names += len(entry.path) + len(entry.target)
        if self.names > self.most_names:
            raise InvalidImage(
                f"The names of its files take more than {self.most_names >> 20} MiB."
            )


def check_layers(count: int) -> None:
    """Raise InvalidImage for more layers than any engine runs."""
    if count > MOST_LAYERS:
        raise InvalidImage(f"It has {count} layers; at most {MOST_LAYERS} are read.")
