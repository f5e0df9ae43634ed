"""Reading what a layer holds from a stream."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import time
import tracemalloc
from collections.abc import Iterator

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image.tar_reader import HEAD_BYTES, Entry, normal_path, read_file, scan

KINDS = {
    tarfile.REGTYPE: "file",
    tarfile.DIRTYPE: "folder",
    tarfile.SYMTYPE: "symlink",
    tarfile.LNKTYPE: "hardlink",
    tarfile.FIFOTYPE: "pipe",
}
names = st.lists(st.text("abé.", min_size=1, max_size=60), min_size=1, max_size=6).map("/".join)


def chunked(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def tar(*files: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, data in files:
            info = tarfile.TarInfo(path)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@st.composite
def archives(draw: st.DrawFn) -> bytes:
    buffer = io.BytesIO()
    form = draw(st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name in draw(st.lists(names, max_size=4)):
            short = form == tarfile.USTAR_FORMAT
            parts = name.split("/")
            info = tarfile.TarInfo("/".join(part[:8] for part in parts) if short else name)
            info.type = draw(st.sampled_from(list(KINDS)))
            info.mode = draw(st.integers(0, 0o7777))
            info.mtime = draw(st.integers(0, 2**32 if short else 2**34))
            data = draw(st.binary(max_size=1200)) if info.isreg() else b""
            info.size = len(data)
            if info.issym() or info.islnk():
                info.linkname = draw(names)[: 20 if short else None]
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@settings(deadline=None)
@given(archives(), st.integers(1, 3000), st.booleans())
def test_what_tarfile_reads_is_read(data: bytes, size: int, packed: bool) -> None:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        expected = []
        for info in archive:
            stream = archive.extractfile(info) if info.isreg() else None
            expected.append(
                Entry(
                    normal_path(info.name),
                    KINDS[info.type],
                    info.mode,
                    info.size if info.isreg() else 0,
                    info.linkname if info.issym() or info.islnk() else "",
                    stream.read() if stream else None,
                )
            )
    want = frozenset(entry.path for entry in expected)
    stream_of = gzip.compress(data) if packed else data
    assert list(scan(chunked(stream_of, size), want=want)) == expected


@settings(deadline=None)
@given(archives(), st.data())
def test_a_damaged_stream_is_read_or_is_a_problem(data: bytes, draw: st.DataObject) -> None:
    packed = draw.draw(st.booleans())
    damaged = bytearray(gzip.compress(data) if packed else data)
    for position in draw.draw(st.lists(st.integers(0, len(damaged) - 1), max_size=4)):
        damaged[position] ^= draw.draw(st.integers(1, 255))
    cut = draw.draw(st.integers(0, len(damaged)))
    try:
        list(scan(iter([bytes(damaged[:cut])])))
    except InvalidImage as problem:
        message = problem.message
        assert "layer" in message.lower()


def test_reading_stops_where_the_reader_stops() -> None:
    data = tar(("first", b"x" * 5000), ("second", b"y" * 500_000))
    read = 0

    def counting() -> Iterator[bytes]:
        nonlocal read
        for chunk in chunked(data, 512):
            read += len(chunk)
            yield chunk

    assert next(scan(counting())).path == "first"
    assert read <= 512


def test_a_layer_that_unpacks_to_much_takes_little_memory() -> None:
    zeros = bytes(1024 * 1024)
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb") as packed:
        info = tarfile.TarInfo("big")
        info.size = 200 * len(zeros)
        packed.write(info.tobuf())
        for _ in range(200):
            packed.write(zeros)
        packed.write(bytes(1024))
    tracemalloc.start()
    try:
        assert [entry.size for entry in scan(chunked(buffer.getvalue(), 65536))] == [info.size]
        assert tracemalloc.get_traced_memory()[1] < 8 * len(zeros)
    finally:
        tracemalloc.stop()


def test_only_wanted_files_are_delivered_and_only_up_to_the_limit() -> None:
    data, want = tar(("etc/ca.crt", b"x" * 10), ("otelcol", b"ELF")), frozenset({"etc/ca.crt"})
    assert [entry.data for entry in scan(iter([data]), want=want)] == [b"x" * 10, None]
    with pytest.raises(InvalidImage, match="has 10 bytes; at most 9"):
        list(scan(iter([data]), want=want, max_file_bytes=9))


def test_zstd_and_gzip_are_read_in_one_part_or_several() -> None:
    data = tar(("a", b"1"), ("b", b"2"))
    pack = zstandard.ZstdCompressor().compress
    skipped = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"table"  # as in zstd:chunked
    for packed in (
        pack(data),
        pack(data[:700]) + skipped + pack(data[700:]) + skipped,
        gzip.compress(data[:700]) + gzip.compress(data[700:]),
    ):
        assert [entry.path for entry in scan(chunked(packed, 10))] == ["a", "b"]


def zstd(data: bytes, window_log: int = 0) -> bytes:
    ldm = window_log > 0
    parameters = zstandard.ZstdCompressionParameters(window_log=window_log, enable_ldm=ldm)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return packer.compress(data) + packer.flush()


NOISE = tar(("a", os.urandom(100_000)))
LARGE = tar(("a", bytes(3 << 20)))
SMALL = tar(("a", bytes(range(256)) * 40))
HUGE_HEADER = tarfile.TarInfo("././@PaxHeader")
HUGE_HEADER.type, HUGE_HEADER.size = tarfile.XHDTYPE, 8 * 1024**3


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (zstd(NOISE)[:8] + bytes(8) + zstd(NOISE)[16:], "zstd"),
        (zstd(NOISE)[:50_000], "cut short"),
        (zstd(SMALL, window_log=30), "zstd"),  # asks for a gigabyte of memory
        (zstd(LARGE), "more than 2 MiB"),
        (gzip.compress(LARGE), "more than 2 MiB"),
        (gzip.compress(SMALL)[:60], "cut short|ends in the middle"),
        (SMALL[: len(SMALL) // 5], "cut short|ends in the middle"),
        (HUGE_HEADER.tobuf(tarfile.GNU_FORMAT), "tar header of 8589934592 bytes"),
    ],
    ids=["damaged", "cut zstd", "window", "zstd", "gzip", "cut gzip", "cut tar", "header"],
)
def test_a_damaged_or_oversized_stream_is_a_problem(data: bytes, message: str) -> None:
    with pytest.raises(InvalidImage, match=message):
        list(scan(iter([data]), max_bytes=2 << 20))


def test_the_beginning_of_a_file_can_be_asked_for() -> None:
    data = tar(("a", b"1" * 100), ("b", b"2" * 200_000), ("c", b"3"))
    found = {entry.path: entry for entry in scan(chunked(data, 1000), peek=frozenset({"a", "b"}))}
    assert found["a"].head == b"1" * 100
    assert found["b"].head == b"2" * HEAD_BYTES
    assert found["c"].head == b""


def test_one_file_is_taken_out_and_the_stream_read_to_its_end() -> None:
    data = tar(("a", b"1" * 700), ("b", b"2" * 1300), ("c", b"3"))
    source = chunked(data, 100)
    assert b"".join(read_file(source, "b")) == b"2" * 1300
    assert next(source, None) is None
    with pytest.raises(InvalidImage, match="no file d"):
        list(read_file(chunked(data, 100), "d"))


@pytest.mark.parametrize(
    ("path", "unsafe"),
    [
        *((path, True) for path in ("../a", "a/../../b", "/etc/passwd")),
        *((path, False) for path in ("./a", "a..b", "..a")),
    ],
)
def test_a_path_that_leads_out_of_the_image_is_marked(path: str, unsafe: bool) -> None:
    (entry,) = scan(iter([tar((path, b""))]))
    assert entry.unsafe_path is unsafe


def with_pax(records: bytes) -> bytes:
    """An archive of one file `a`, with a pax header of these very bytes before it."""
    info = tarfile.TarInfo("././@PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, len(records)
    header = info.tobuf(tarfile.GNU_FORMAT)
    return header + records + bytes(-len(records) % 512) + tar(("a", b""))


@pytest.mark.parametrize(
    "records",
    [
        *(b" a=b\n", b"0 a=b\n", b"1 a=b\n", b"2 a=b\n", b"6 a=b", b"7 a=b\n", b"6 a=bX"),
        *(b"6 ab=\n a=b\n", b"6 a=b\n a=b\n", b"6 a=b\n0 a=b\n", b"-6 a=b\n"),
        b"000000000000000006 a=b\n",
    ],
)
def test_a_pax_record_with_a_wrong_length_is_malformed(records: bytes) -> None:
    with pytest.raises(InvalidImage, match="malformed pax header"):
        list(scan(iter([with_pax(records)])))


def test_many_pax_records_take_no_time() -> None:
    began = time.process_time()
    (entry,) = scan(iter([with_pax(b"6 a=b\n" * 170_000 + b"9 path=z\n")]))
    assert entry.path == "z"
    assert time.process_time() - began < 3


def test_global_pax_headers_hold_for_all_that_follows() -> None:
    buffer = io.BytesIO()
    headers = {"linkpath": "everywhere"}
    with tarfile.open(
        fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, pax_headers=headers
    ) as archive:
        for path in ("a", "b"):
            info = tarfile.TarInfo(path)
            info.type = tarfile.SYMTYPE
            archive.addfile(info)
    assert [entry.target for entry in scan(iter([buffer.getvalue()]))] == ["everywhere"] * 2


def test_an_empty_stream_holds_nothing() -> None:
    for chunks in ([], [b"", bytes(1024)], [gzip.compress(tar())]):
        assert list(scan(iter(chunks))) == []
