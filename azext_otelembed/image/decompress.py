"""Decompresses layers as streams, with limits on memory, output and the number of frames."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from itertools import chain

from azext_otelembed.errors import InvalidImage

MAX_BYTES = 4 << 30
"""Uncompressed bytes of one layer that are read."""

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_MAX_FRAMES = 1_000_000
"""gzip members or zstd frames of one stream: each costs time, and may be empty."""
_OUTPUT_SIZE = 256 * 1024
# A zstd frame may ask its reader for gigabytes of memory; `zstd -19 --long` asks for this much.
_ZSTD_WINDOW = 128 << 20
# Four bytes of input can stand for a block of 128 KiB (RFC 8878, 3.1.1.2): at most 8 MiB at once.
_ZSTD_INPUT_SIZE = 256


def detect_compression(start: bytes) -> str:
    """The compression of a stream that begins with these four bytes: "gzip", "zstd" or "none"."""
    return "zstd" if start.startswith(_ZSTD) else "gzip" if start.startswith(_GZIP) else "none"


def decompressed(chunks: Iterator[bytes], max_bytes: int = MAX_BYTES) -> Iterator[bytes]:
    """The stream, decompressed if it is gzip or zstd, in pieces of bounded size.

    Raises InvalidImage if it has more than `max_bytes`: a few MB can decompress to any size.
    """
    start = b""
    while len(start) < 4 and (chunk := next(chunks, None)) is not None:
        start += chunk
    compression = detect_compression(start)
    stream = chain([start], chunks)
    if compression == "zstd":
        plain = _unzstd(stream)
    elif compression == "gzip":
        plain = _gunzip(stream)
    else:
        plain = stream
    count = 0
    for piece in plain:
        count += len(piece)
        if count > max_bytes:
            raise InvalidImage(f"The layer unpacks to more than {max_bytes >> 20} MiB.")
        yield piece


def _count_frame(frames: int) -> int:
    if frames >= _MAX_FRAMES:
        raise InvalidImage(f"The layer's compression has more than {_MAX_FRAMES} parts.")
    return frames + 1


def _unzstd(chunks: Iterator[bytes]) -> Iterator[bytes]:
    import zstandard

    factory = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    decoder = factory.decompressobj()
    in_frame = False
    frames = 0
    try:
        for chunk in chunks:
            for start in range(0, len(chunk), _ZSTD_INPUT_SIZE):
                pending = chunk[start : start + _ZSTD_INPUT_SIZE]
                while pending:
                    in_frame = True
                    piece = decoder.decompress(pending)
                    if piece:
                        yield piece
                    pending = b""
                    if decoder.eof:  # several frames may follow each other
                        pending = decoder.unused_data
                        decoder = factory.decompressobj()
                        in_frame = False
                        frames = _count_frame(frames)
    except zstandard.ZstdError as error:
        raise InvalidImage(f"The layer's zstd stream can't be read: {error}.") from error
    if in_frame:
        raise InvalidImage("The layer's zstd stream is cut short.")


def _gunzip(chunks: Iterator[bytes]) -> Iterator[bytes]:
    decoder = zlib.decompressobj(wbits=31)
    in_member = False
    members = 0
    try:
        for chunk in chunks:
            pending = chunk
            while pending:
                in_member = True
                piece = decoder.decompress(pending, _OUTPUT_SIZE)
                if piece:
                    yield piece
                pending = decoder.unconsumed_tail
                if decoder.eof:  # a gzip file may have several members
                    pending = decoder.unused_data.lstrip(b"\0")
                    decoder = zlib.decompressobj(wbits=31)
                    in_member = False
                    members = _count_frame(members)
    except zlib.error as error:
        raise InvalidImage(f"The layer's gzip stream is damaged: {error}.") from error
    if in_member:
        raise InvalidImage("The layer's gzip stream is cut short.")
