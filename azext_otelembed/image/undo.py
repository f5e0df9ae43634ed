"""What an embedding replaced, kept in a label so that it can be taken off again exactly."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from azext_otelembed.image.document import Document, dump, load
from azext_otelembed.image.labels import UNDO
from azext_otelembed.image.problem import ImageProblem
from azext_otelembed.image.reference import Digest


@dataclass(frozen=True, slots=True)
class Undo:
    """`layers` and `history` count the entries that were added on top.

    `top` is the last diff_id and `seal` a digest of how the image is started: whoever builds on top
    changes one of them, while the labels are inherited.

    `notes` hold, by field ("Entrypoint", "Labels", "annotations"), what the embedded image itself
    doesn't show: `hidden` values that ours replaced, and what the field `was` when it was there but
    said nothing (null, [] or {}). Most images need none.
    """

    layers: int
    history: int
    top: Digest
    seal: str
    notes: Document = field(default_factory=dict)

    def to_text(self) -> str:
        """The label's value."""
        document: Document = {
            "layers": self.layers,
            "history": self.history,
            "top": str(self.top),
            "seal": self.seal,
        }
        if self.notes:
            document["notes"] = self.notes
        return dump(document).decode("ascii")

    @classmethod
    def parse(cls, text: str) -> Undo:
        """Read the label's value. Raises ImageProblem."""
        document = load(text.encode("utf-8", "surrogatepass"), f"The label {UNDO}")
        layers, history = document.get("layers"), document.get("history")
        notes = document.get("notes", {})
        if (
            not isinstance(layers, int)
            or not isinstance(history, int)
            or layers < 1
            or history not in (0, layers)
            or not isinstance(notes, dict)
            or not all(_is_note(note) for note in notes.values())
        ):
            raise ImageProblem(f"The label {UNDO} is malformed.")
        top = Digest.parse(str(document.get("top")))
        return cls(layers, history, top, str(document.get("seal")), notes)


def seal(settings: Document) -> str:
    """A digest of an image's settings (the object under `config`), our own label left out.

    Order and empty values don't count: tools that copy images may write those anew.
    """
    labels = without(settings.get("Labels") or {}, UNDO)
    told = {name: value for name, value in {**settings, "Labels": labels}.items() if value}
    return Digest.of(json.dumps(told, sort_keys=True).encode("ascii")).short


def put_on(owner: Document, key: str, added: Mapping[str, str]) -> tuple[Document, Document]:
    """Merge `added` into the text map `owner[key]`. Returns the new owner and a note for Undo."""
    before = owner.get(key)
    note: Document = {}
    if isinstance(before, dict) and before:
        hidden = {name: before[name] for name in added if name in before}
        if hidden:
            note = {"hidden": hidden}
        merged = {**before, **added}
    else:
        if key in owner:
            note = {"was": before}
        merged = dict(added)
    return {**owner, key: merged}, note


def take_off(owner: Document, key: str, added: Iterable[str], note: Document) -> Document:
    """The inverse of put_on."""
    if "was" in note:
        return {**owner, key: note["was"]}
    hidden = note.get("hidden", {})
    ours = set(added)
    found = owner.get(key)
    now = found if isinstance(found, dict) else {}
    kept = {
        name: hidden.get(name, value)
        for name, value in now.items()
        if name not in ours or name in hidden
    }
    return {**owner, key: kept} if kept else without(owner, key)


def _is_note(note: object) -> bool:
    return isinstance(note, dict) and isinstance(note.get("hidden", {}), dict)


def without(owner: Document, key: str) -> Document:
    """A copy that lacks one key."""
    return {name: value for name, value in owner.items() if name != key}
