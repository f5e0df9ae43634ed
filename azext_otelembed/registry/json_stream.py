"""One array of a JSON object, element by element: the document is never in memory as a whole."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Iterator
from typing import Any

from azext_otelembed import strict_json

ELEMENT_LIMIT = 1 << 20
"""Characters of one value. A descriptor with annotations has about 1,500."""

_SPACE = " \t\n\r"
_AFTER_VALUE = (*_SPACE, ",", ":", "]", "}")


def array_elements(chunks: Iterable[bytes], name: str) -> Iterator[Any]:
    """The elements of the array `name` of the object in `chunks`; null counts as an empty array.

    Raises `ValueError` for a document that isn't an object with this array, that ends early, has
    bytes after its end, has a key twice, or has a value that is longer than `ELEMENT_LIMIT` or that
    `strict_json` refuses. The elements before the error have been yielded by then.
    """
    document = _Document(chunks)
    document.take("{")
    keys: set[str] = set()
    while document.peek() != "}":
        if keys:
            document.take(",")
        key = document.value()
        if not isinstance(key, str) or key in keys:
            raise ValueError("A key is no text, or occurs twice.")
        keys.add(key)
        document.take(":")
        if key == name and document.peek() == "[":
            yield from _elements(document)
        elif document.value() is not None and key == name:
            raise ValueError(f"{name} is no array.")
    document.take("}")
    if document.peek() or name not in keys:
        raise ValueError(f"The document has text after its end, or has no {name}.")


def _elements(document: _Document) -> Iterator[Any]:
    document.take("[")
    first = True
    while document.peek() != "]":
        if not first:
            document.take(",")
        first = False
        yield document.value()
    document.take("]")


class _Document:
    """The text that is left to read."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._text = ""
        self._position = 0
        self._ended = False

    def peek(self) -> str:
        """The next character that is no white space; empty at the end."""
        while True:
            while self._position < len(self._text):
                if self._text[self._position] not in _SPACE:
                    return self._text[self._position]
                self._position += 1
            if not self._read(1):
                return ""

    def take(self, character: str) -> None:
        """Passes this character, which must come next."""
        if self.peek() != character:
            raise ValueError(f"{character} is missing.")
        self._position += 1

    def value(self) -> Any:
        """The next value, read strictly."""
        self.peek()
        while True:
            length = len(self._text) - self._position
            try:
                found, end = strict_json.DECODER.raw_decode(self._text, self._position)
            except (json.JSONDecodeError, RecursionError):
                found, end = None, len(self._text)
                complete = False
            else:
                # A number may continue in the next chunk, also `1` in front of `.5`.
                complete = self._ended or self._text[end : end + 1] in _AFTER_VALUE
            if complete:
                strict_json.check_value(self._text[self._position : end], found)
                self._position = end
                return found
            if length > ELEMENT_LIMIT:
                raise ValueError("A value is too long.")
            # Twice the text before the next attempt: the time stays linear for short chunks.
            if not self._read(max(length, 1)):
                raise ValueError("The document ends early, or is no JSON.")

    def _read(self, least: int) -> bool:
        """Reads at least that many characters; False if there are none left."""
        pieces = [self._text[self._position :]]
        read = 0
        while read < least and not self._ended:
            chunk = next(self._chunks, None)
            self._ended = chunk is None
            piece = self._decode(chunk or b"", final=self._ended)
            pieces.append(piece)
            read += len(piece)
        self._text, self._position = "".join(pieces), 0
        return read > 0
