"""JSON arrays that are read element by element."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest

from azext_otelembed.registry.json_stream import ELEMENT_LIMIT, array_elements

WHOLE = {
    "schemaVersion": 2,
    "before": {"manifests": [1, "]"]},
    "manifests": [{"a": 'é "quoted" \\ ]}'}, 5, "text", [1, [2]], None, {}, 1.5],
    "annotations": {"b": []},
}


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    """The same bytes in chunks."""
    return (data[start : start + size] for start in range(0, len(data), size))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 4096])
@pytest.mark.parametrize("indent", [None, 2])
def test_elements_are_those_of_the_whole_document(size: int, indent: int | None) -> None:
    documents: list[dict[str, Any]] = [WHOLE, {"manifests": [12345]}]
    for document in (*documents, {"manifests": []}, {"manifests": None}):
        for escaped in (True, False):
            data = json.dumps(document, indent=indent, ensure_ascii=escaped).encode()
            found = list(array_elements(pieces(data, size), "manifests"))
            assert found == (document["manifests"] or [])


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "{", "{}", "[]", "null", "5", '"manifests"', '{"other":[]}', '{"manifests":5}'),
        *('{"manifests":{}}', '{"manifests":"a"}', '{"manifests":[1,]}', '{"manifests":[1 2]}'),
        *('{"manifests":[1]', '{"manifests":[1', '{"manifests":[{"a":1}', '{"manifests":[]}x'),
        *('{"manifests":[],"manifests":[]}', '{"manifests":[{"a":1,"a":2}]}', "{5:[]}"),
        *('{"manifests":[],}', '{"manifests":["\\ud800"]}', '{"manifests":[' + "[" * 100_000),
        '{"manifests":["' + "a" * (3 * ELEMENT_LIMIT) + '"]}',
    ],
)
def test_a_document_that_is_cut_or_of_another_shape_is_an_error(text: str) -> None:
    for size in (5, 65536):
        with pytest.raises(ValueError):  # its message is not shown
            list(array_elements(pieces(text.encode(), size), "manifests"))


def test_bytes_that_are_no_text_are_an_error() -> None:
    with pytest.raises(ValueError):
        list(array_elements([b'{"manifests":["\xff"]}'], "manifests"))


def test_every_cut_of_a_document_is_an_error() -> None:
    data = json.dumps(WHOLE).encode()
    for end in range(len(data)):
        with pytest.raises(ValueError):
            list(array_elements(pieces(data[:end], 16), "manifests"))


def test_short_chunks_take_linear_time() -> None:
    data = json.dumps({"manifests": ["a" * 200_000, *range(20_000)]}).encode()
    began = time.monotonic()
    assert len(list(array_elements(pieces(data, 1), "manifests"))) == 20_001
    assert time.monotonic() - began < 3


def test_random_documents_in_random_chunks() -> None:
    chance = random.Random(1)  # noqa: S311
    for _ in range(200):
        values = [
            chance.choice([{"k": "v" * chance.randrange(50)}, chance.random(), [], "é😀"])
            for _ in range(chance.randrange(30))
        ]
        data = json.dumps({"x": 1, "manifests": values}, ensure_ascii=False).encode()
        cuts = sorted(chance.randrange(len(data)) for _ in range(10))
        chunks = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        assert list(array_elements(chunks, "manifests")) == values
