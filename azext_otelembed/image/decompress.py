"""A layer's bytes without their compression: bounded memory, and bounded altogether."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from azext_otelembed.errors import InvalidImage

MOST_BYTES = 4 << 30
"""Unpacked bytes of one layer that are read at most."""

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_MOST_PARTS = 1_000_000
"""gzip members or zstd frames of one stream: each costs time, and may be empty."""
_PIECE = 256 * 1024
# A zstd frame may ask its reader for gigabytes of memory; `zstd -19 --long` asks for this much.
_ZSTD_WINDOW = 128 << 20
# Four bytes of input can stand for a block of 128 KiB (RFC 8878, 3.1.1.2): at most 8 MiB at once.
_ZSTD_INPUT = 256


def compression_of(start: bytes) -> str:
    """How a stream that begins with these four bytes is compressed: "gzip", "zstd" or "none"."""
    return "zstd" if start.startswith(_ZSTD) else "gzip" if start.startswith(_GZIP) else "none"


def unpacked(chunks: Iterator[bytes], most: int = MOST_BYTES) -> Iterator[bytes]:
    """The stream without its gzip or zstd layer, if it has one, in pieces of bounded size.

    Raises InvalidImage past `most` bytes: a few MB can be made to unpack to any number of them.
    """
    start = b""
    while len(start) < 4 and (chunk := next(chunks, None)) is not None:
        start += chunk
    compression = compression_of(start)
    if compression == "zstd":
        plain = _unzstd(_chained(start, chunks))
    elif compression == "gzip":
        plain = _gunzip(start, chunks)
    else:
        plain = _chained(start, chunks)
    count = 0
    for piece in plain:
        count += len(piece)
        if count > most:
            raise InvalidImage(f"The layer unpacks to more than {most >> 20} MiB.")
        yield piece


def _count_part(parts: int) -> int:
    if parts >= _MOST_PARTS:
        raise InvalidImage(f"The layer's compression has more than {_MOST_PARTS} parts.")
    return parts + 1


def _unzstd(chunks: Iterator[bytes]) -> Iterator[bytes]:
    import zstandard

    opener = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    decoder = opener.decompressobj()
    begun = False  # whether the current frame has had any input
    parts = 0
    try:
        for chunk in chunks:
            for start in range(0, len(chunk), _ZSTD_INPUT):
                pending = chunk[start : start + _ZSTD_INPUT]
                while pending:
                    begun = True
                    piece = decoder.decompress(pending)
                    if piece:
                        yield piece
                    pending = b""
                    if decoder.eof:  # several frames may come in a row
                        pending = decoder.unused_data
                        decoder = opener.decompressobj()
                        begun = False
                        parts = _count_part(parts)
    except zstandard.ZstdError as error:
        raise InvalidImage(f"The layer's zstd stream can't be read: {error}.") from error
    if begun:
        raise InvalidImage("The layer's zstd stream is cut short.")


def _chained(start: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield start
    yield from chunks


def _gunzip(start: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    decoder = zlib.decompressobj(wbits=31)
    pending = start
    begun = False  # whether the current gzip member has had any input
    parts = 0
    try:
        while True:
            while pending:
                begun = True
                piece = decoder.decompress(pending, _PIECE)
                if piece:
                    yield piece
                pending = decoder.unconsumed_tail
                if decoder.eof:  # a gzip file may be several members in a row
                    pending = decoder.unused_data.lstrip(b"\0")
                    decoder = zlib.decompressobj(wbits=31)
                    begun = False
                    parts = _count_part(parts)
            chunk = next(chunks, None)
            if chunk is None:
                break
            pending = chunk
    except zlib.error as error:
        raise InvalidImage(f"The layer's gzip stream is damaged: {error}.") from error
    if begun:
        raise InvalidImage("The layer's gzip stream is cut short.")
