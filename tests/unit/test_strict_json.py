"""JSON of others: what is read, and what is refused with a reason that quotes nothing of it."""

from __future__ import annotations

import json

import pytest

from azext_otelembed.strict_json import MAX_DEPTH, MAX_PARTS, parse

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (' {"a": [1, 2.5, null, true, "é"]}\n', {"a": [1, 2.5, None, True, "é"]}),
        ('"\\ud83d\\ude00"', "😀"),
        ('"\\\\ud83d"', "\\ud83d"),
        ("[" * MAX_DEPTH + "]" * MAX_DEPTH, None),
        (json.dumps([[]] * 10_000), [[]] * 10_000),
    ],
)
def test_a_document_is_read(text: str, value: object) -> None:
    assert parse(text.encode()) == (value if value is not None else parse(text))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "Expecting value"),
        (b"{}{}", "Extra data"),
        (b'{"value": [', "Expecting value"),
        (b'{"a": "hunter2", "a": 1}', "a name occurs twice in one object"),
        (b'[{"b": {"a": 1, "a": 1}}]', "a name occurs twice in one object"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" + b"{}," * MAX_PARTS + b"{}]", "more than 250000 objects and lists"),
        (b"NaN", "NaN is not JSON"),
        (b"[-Infinity]", "-Infinity is not JSON"),
        (b"1e999", "a number is too large"),
        (b"1" * 5000, "more than 100 digits"),
        (b'"hunter2 \\ud800"', "half of a surrogate pair"),
        (b'{"\\uDC00\\uD800": 1}', "half of a surrogate pair"),
        (b'"hunter2 \xed\xa0\x80"', "not UTF-8"),
        (b'"\xff hunter2"', "byte 1 is not UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
        (b'\xef\xbb\xbf{"a": 1}', "BOM"),
        ('"hunter2 \ud800"', "half of a surrogate pair"),
    ],
)
def test_what_is_read_in_two_ways_is_refused(data: bytes | str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as refusal:
        parse(data)
    assert SECRET not in str(refusal.value)
