"""Text in UTF-8 from files, standard input and arguments."""

from __future__ import annotations

import codecs

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class NotUtf8(ValueError):
    """Bytes aren't text in UTF-8, with the reason; `line` counts from 1."""

    def __init__(self, reason: str, line: int) -> None:
        super().__init__(reason)
        self.line = line


def decode_utf8(data: bytes) -> str:
    """The text without a byte order mark. Raises `NotUtf8`.

    Windows PowerShell 5.1 writes UTF-16 with `>` and `Out-File` (learn.microsoft.com,
    about_Character_Encoding).
    """
    if is_utf16(data):
        raise NotUtf8("it is UTF-16, as Windows PowerShell writes it with `>`", 1)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise NotUtf8(f"a byte in line {line} isn't UTF-8", line) from None


def is_utf16(data: bytes) -> bool:
    """Whether the data starts with the byte order mark of UTF-16."""
    return data.startswith(_UTF_16)


def is_utf8(text: str) -> bool:
    """Whether UTF-8 can encode the text: it holds no lone surrogate.

    Python makes those of an argument's bytes that are not UTF-8.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
