"""Bodies of Azure's responses: their size, their encoding, and JSON that is read strictly."""

from __future__ import annotations

import gzip
import json
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.arm_policies import BODY_LIMIT
from azext_otelembed.azure.blob_storage import Blob
from azext_otelembed.azure.session import Session
from azext_otelembed.azure.sites import SiteClient, SiteId
from azext_otelembed.errors import AzureFailed, OtelembedError
from tests.memory import peak_megabytes, run_measured
from tests.unit.azure.wire import Reply, Wire, session_on

SHOP = SiteId("s", "g", "shop")
SECRET = "hunter2"
GZIP = {"Content-Encoding": "gzip"}
MEGABYTES = 180
"""A process that reads one small answer through azure-mgmt-web has about 70."""
SECONDS = 20
"""On a busy machine; less than one on an idle one."""
CALLS: dict[str, tuple[str, Callable[[Session], object]]] = {
    "a resource": ("The thing", lambda one: Arm(one).get("The thing", "/thing", "1")),
    "a list": ("The list", lambda one: Arm(one).get_all("The list", "/list", "1")),
    "a read by POST": ("The read", lambda one: Arm(one).post("The read", "/read", "1", None)),
    "a site": ("Web App 'shop'", lambda one: SiteClient(one, SHOP).site()),
    "settings": ("App settings of Web App 'shop'", lambda one: SiteClient(one, SHOP).settings()),
    "containers": (
        "Site containers of Web App 'shop'",
        lambda one: SiteClient(one, SHOP).containers(),
    ),
    "slot settings": (
        "Slot settings of Web App 'shop'",
        lambda one: SiteClient(one, SHOP).sticky_settings(),
    ),
    "a written setting": (
        "App settings of Web App 'shop'",
        lambda one: SiteClient(one, SHOP).put_settings({"A": "b"}),
    ),
}
WHOLE = json.dumps({"value": [], "id": "/x", "properties": {"appSettingNames": None}}).encode()


def zeros() -> Iterator[bytes]:
    """400 MB of a list that goes on."""
    yield b'{"value": ["'
    for _ in range(400):
        yield b"0" * (1 << 20)


def compressed_zeros() -> Iterator[bytes]:
    """The same, compressed a thousandfold."""
    packer = zlib.compressobj(wbits=31)
    for piece in zeros():
        yield packer.compress(piece)
    yield packer.flush()


def of_length(body: bytes, announced: int | None = None) -> Reply:
    length = len(body) if announced is None else announced
    return Reply(body, headers={"Content-Length": str(length)})


def chunked(*pieces: bytes, end: bytes = b"0\r\n\r\n") -> Reply:
    framed = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return Reply(framed + end, headers={"Transfer-Encoding": "chunked"})


def packed(reply: Reply) -> Reply:
    return replace(reply, headers={**reply.headers, **GZIP})


BAD: dict[str, tuple[Reply, str]] = {
    "empty": (of_length(b""), "an empty body"),
    "empty, by its end": (Reply(b""), "an empty body"),
    "blank": (of_length(b"\r\n "), "an empty body"),
    "no content": (Reply(b"", 204), "an empty body"),
    "null": (of_length(b"null"), "nothing in place of an object"),
    "a page": (of_length(b"<html>hunter2</html>"), "other than valid JSON"),
    "cut JSON": (of_length(b'{"value": [{"name": "hunter2'), "other than valid JSON"),
    "two documents": (of_length(WHOLE + WHOLE), "Extra data"),
    "a duplicate name": (
        of_length(b'{"value": [], "properties": {"A": "hunter2"}, "properties": {}}'),
        "a name occurs twice",
    ),
    "deep nesting": (of_length(b'{"value": ' + b"[" * 5000), "nested too deeply"),
    "deep nesting that ends": (
        of_length(b'{"value": ' + b"[" * 500 + b"]" * 500 + b"}"),
        "nested too deeply",
    ),
    "NaN": (of_length(b'{"value": [], "properties": {"A": NaN}}'), "NaN is not JSON"),
    "not UTF-8": (of_length(b'{"value": [], "properties": {"A": "\xff"}}'), "not UTF-8"),
    "half a surrogate pair": (
        of_length(b'{"value": [], "properties": {"A": "hunter2\\ud800"}}'),
        "half of a surrogate pair",
    ),
    "longer than announced": (of_length(WHOLE + b'{"a": 1}', len(WHOLE)), "longer than its header"),
    "a little longer": (of_length(WHOLE + b"}", len(WHOLE)), "longer than its header"),
    "much longer": (
        of_length(WHOLE + b" " * 20_000 + b"}", len(WHOLE) + 20_000),
        "longer than its header",
    ),
    "shorter than announced": (of_length(WHOLE, len(WHOLE) + 1), "cut short"),
    "chunks that end early": (chunked(WHOLE, end=b""), "cut short"),
    "millions of objects": (
        of_length(b'{"value": [' + b"{}," * 5_000_000 + b"{}]}"),
        "objects and lists",
    ),
    "400 MB": (Reply(zeros), "longer than 16 MiB"),
    "400 MB, compressed": (Reply(compressed_zeros, headers=GZIP), "longer than 16 MiB"),
    "cut compression": (Reply(gzip.compress(WHOLE)[:-9], headers=GZIP), "compressed wrongly"),
    "damaged compression": (Reply(b"\x1f\x8bnothing", headers=GZIP), "compressed wrongly"),
    "more after the compression": (
        Reply(gzip.compress(WHOLE) + b"{}", headers=GZIP),
        "compressed wrongly",
    ),
    "compression in compression": (
        Reply(gzip.compress(gzip.compress(WHOLE)), headers={"Content-Encoding": "gzip, gzip"}),
        "encoding that wasn't asked for",
    ),
    "another compression": (
        Reply(zlib.compress(WHOLE), headers={"Content-Encoding": "deflate"}),
        "encoding that wasn't asked for",
    ),
}
LARGE = ("400 MB", "400 MB, compressed", "millions of objects")


def message_of(call: Callable[[Session], object], reply: Reply) -> str:
    with pytest.raises(AzureFailed) as failure:
        call(session_on(Wire(lambda _: reply)))
    return failure.value.message


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)


@pytest.mark.parametrize("body", [name for name in BAD if name not in LARGE])
@pytest.mark.parametrize("name", CALLS)
def test_an_error_names_the_object_and_the_reason(name: str, body: str) -> None:
    what, call = CALLS[name]
    reply, reason = BAD[body]
    if name == "a read by POST" and body.startswith(("empty", "no content")):
        assert call(session_on(Wire(lambda _: reply))) == {}
        return
    message = message_of(call, reply)
    assert message.startswith(what)
    assert reason in message
    assert SECRET not in message


@pytest.mark.parametrize(
    "reply",
    [
        of_length(WHOLE),
        Reply(WHOLE),
        chunked(WHOLE[:7], WHOLE[7:]),
        of_length(b"\xef\xbb\xbf" + WHOLE),
        packed(of_length(gzip.compress(WHOLE))),
        packed(chunked(gzip.compress(WHOLE))),
        of_length(WHOLE.replace(b"{", b"{" + b" " * 9000, 1)),
        of_length(WHOLE.replace(b"{", b"{" + b" " * 100_000, 1)),
    ],
)
@pytest.mark.parametrize("name", CALLS)
def test_a_whole_body_is_read(name: str, reply: Reply) -> None:
    CALLS[name][1](session_on(Wire(lambda _: reply)))


def test_a_body_that_was_cut_is_requested_again() -> None:
    replies = iter([BAD["shorter than announced"][0], of_length(WHOLE)])
    wire = Wire(lambda _: next(replies))
    assert Arm(session_on(wire)).get("The thing", "/thing", "1")["id"] == "/x"


@pytest.mark.parametrize("status", [404, 503])
def test_an_error_of_any_size_keeps_its_status(status: int) -> None:
    reply = Reply(zeros, status, {"Content-Type": "text/plain"})
    for name in ("a resource", "a site"):
        what, call = CALLS[name]
        with pytest.raises(OtelembedError) as failure:
            call(session_on(Wire(lambda _: reply)))
        assert failure.value.message.startswith(what)
        assert ("was not found" if status == 404 else "HTTP 503") in failure.value.message


@pytest.mark.parametrize("body", LARGE)
@pytest.mark.parametrize("name", ["containers", "a log of a build"])
def test_a_large_answer_costs_little_memory_and_time(name: str, body: str) -> None:
    """Without limits, 400 MB take 1.3 GB, and 16 MiB of empty objects 2.2 GB and minutes."""
    found = run_measured("tests.unit.azure.test_arm_bodies", name, body)
    if (name, body) != ("a log of a build", "millions of objects"):
        assert BAD[body][1] in found["message"]
    assert found["megabytes"] < MEGABYTES
    assert found["seconds"] < SECONDS


def _read(name: str, reply: Reply) -> None:
    session = session_on(Wire(lambda _: reply))
    if name == "a log of a build":
        Blob(session, "The log", "https://a.blob.core.windows.net/log?sig=x").read(0, BODY_LIMIT)
    else:
        CALLS[name][1](session)


def _main(name: str, body: str) -> dict[str, object]:
    began, message = time.monotonic(), ""
    try:
        _read(name, BAD[body][0])
    except OtelembedError as error:
        message = error.message
    return {"message": message, "megabytes": peak_megabytes(), "seconds": time.monotonic() - began}


if __name__ == "__main__":
    print(json.dumps(_main(*sys.argv[1:])))
