"""Secrets are masked in the words of others, in whatever spelling they come."""

from __future__ import annotations

import base64
import html
import json
import threading
import time
from urllib.parse import quote, quote_plus

import pytest

from azext_otelembed.redaction import LONGEST_WORDS, Secrets
from tests.unit.verification.log_lines import old_start

KEY = 'sk-demo/5f1e8b7c"2a9d+ü='
"""A secret of which every escape has something to change."""


def secrets(**settings: str) -> Secrets:
    known = Secrets()
    known.add_settings(settings)
    return known


def test_no_app_setting_is_shown() -> None:
    known = secrets(PAYMENT_API_KEY="sk-demo-5f1e8b7c2a9d", WEBSITES_PORT="8080", FLAG="true")
    lines = ["using sk-demo-5f1e8b7c2a9d on 8080, true", *old_start()]
    shown = "\n".join(known.mask_lines(lines))
    assert "sk-demo" not in shown
    assert "hidden-value" not in shown
    assert "on 8080, true" in shown


def test_parts_of_a_connection_string_are_secrets_too() -> None:
    value = "InstrumentationKey=0f0e0d0c-0b0a-4909-8807-060504030201;IngestionEndpoint=https://x.example/"
    assert secrets(S=value).mask("key 0F0e0d0c-0b0a-4909-8807-060504030201") == "key ***"


def test_short_numeric_and_many_lined_settings_are_masked_too() -> None:
    known = secrets(
        PHRASE="correct horse battery staple",
        PASSWORD="hunter2",
        PIN="12345678",
        KEY="-----BEGIN-----\nMIIEvQIBADANBg\n-----END-----",
        WEBSITES_PORT="8080",
    )
    lines = [
        "docker run -e PHRASE=correct horse battery staple -e PIN=12345678 shop",
        "password hunter2, pin 12345678; hunter22 is another one",
        "MIIEvQIBADANBg on port 8080",
    ]
    assert known.mask_lines(lines) == (
        "docker run -e PHRASE=*** -e PIN=*** shop",
        "password ***, pin ***; hunter22 is another one",
        "*** on port 8080",
    )


def test_lines_credentials_and_addresses_inside_of_a_value_are_secrets_in_each_spelling() -> None:
    login = base64.b64encode(b"robot:pass-word-7").decode()
    known = secrets(
        KEY=r"-----BEGIN-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END-----\n",
        HEADER=f"Basic {login}",
        OTHER="Bearer q1w2e3r4",
        QUEUE="amqps://mq-user:m%40q-pass@mq.example/vh",
        NAME="pässwörd-ß",
    )
    decoded = base64.b64encode(b"mq-user:m@q-pass").decode()
    lines = [
        "a line: kqhkiG9w0BAQEF",
        f"credentials {login}",
        "user robot:pass-word-7, robot and pass-word-7",
        "token q1w2e3r4",
        f"sent {decoded}",
        rf"bytes {'pässwörd-ß'.encode()!r}",
        "".join(f"&#{ord(one):07d};&#x{ord(one):06X};"[:10] for one in "pässwörd-ß"),
    ]
    shown = known.mask_lines(lines)
    assert shown == (
        "a line: ***",
        "credentials ***",
        "user ***, *** and ***",
        "token ***",
        "sent ***",
        "bytes b'***'",
        "***",
    )


def test_what_looks_like_a_secret_is_masked_wherever_it_comes_from() -> None:
    lines = [
        "sending Authorization: Bearer abcdef0123456789abcdef",
        "token eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhYmMifQ.c2lnbmF0dXJl",
        "get https://a.blob.example/b?sp=r&sig=abc%2Fdef123&se=1",
        "get https://b.example/l?X-Amz-Signature=0123abcd&x=1",
        "proxyconnect http://robot:Pa55w0rd@proxy.example:3128: refused",
        "bearer of bad news",
    ]
    assert Secrets().mask_lines(lines) == (
        "sending Authorization: Bearer ***",
        "token ***",
        "get https://a.blob.example/b?sp=r&sig=***&se=1",
        "get https://b.example/l?X-Amz-Signature=***&x=1",
        "proxyconnect http://robot:***@proxy.example:3128: refused",
        "bearer of bad news",
    )


@pytest.mark.parametrize(
    ("setting", "parts"),
    [
        (
            '{"db": {"password": "hunter2-hunter2"}, "keys": ["k-123456"]}',
            ["hunter2-hunter2", "k-123456"],
        ),
        ("[" * 20000 + '"hunter2-hunter2"' + "]" * 20000, ["hunter2-hunter2"]),
        ('{"inner": "{\\"password\\": \\"hunter2-hunter2\\"}"}', ["hunter2-hunter2"]),
        ('{"pin": 123456789, "not": "ended', ["123456789"]),
        (
            "postgres://shop:p%40ss%2Fword1@db.example:5432/x",
            ["p%40ss%2Fword1", "p@ss/word1", "shop"],
        ),
        ("amqp://guest1:sl/ash@mq.example", ["sl/ash"]),
        ("https://0123456789abcdef@o1.ingest.example/2", ["0123456789abcdef"]),
        ("cache.example:6380,password=abc123==,ssl=True", ["abc123=="]),
        ("host=db user=shop password='correct horse'", ["correct horse"]),
        ("https://hook.example/in?code=hook-code-1&name=x", ["hook-code-1"]),
        ("db:\n  password: hunter2-hunter2\n", ["hunter2-hunter2"]),
        ("first-line-1\r\nsecond-line-2", ["first-line-1", "second-line-2"]),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_the_parts_of_a_setting_are_secrets(setting: str, parts: list[str]) -> None:
    known = secrets(SETTING=setting)
    for part in parts:
        assert known.mask(f"it got <{part}>.") == "it got <***>."


def test_common_values_are_no_secrets() -> None:
    text = (
        '{"LogLevel": {"Default": "Information"}, "port": "8080", "ssl": true, "env": "production"}'
    )
    known = secrets(LOGGING=text, NODE_ENV="production", LOG_LEVEL="debug", PORT="3000")
    shown = "production: Information on port 8080 and 3000, debug is true"
    assert known.mask(shown) == shown


def test_a_key_vault_reference_is_no_secret() -> None:
    uri = "https://vault.example/secrets/insights"
    known = secrets(CONNECTION=f"@Microsoft.KeyVault(SecretUri={uri})")
    assert known.mask(f"403 on {uri}: @Microsoft.KeyVault(SecretUri={uri})").count(uri) == 2


SPELLINGS = {
    "as it is": KEY,
    "in capitals": KEY.replace("demo", "DEMO"),
    "percent-encoded": quote(KEY, safe=""),
    "percent-encoded in small letters": quote(KEY, safe="").lower(),
    "in a form": quote_plus(KEY),
    "percent-encoded twice": quote(quote(KEY, safe=""), safe=""),
    "every byte percent-encoded": "".join(f"%{byte:02x}" for byte in KEY.encode()),
    "in JSON": json.dumps(KEY)[1:-1],
    "in JSON without ASCII": json.dumps(KEY, ensure_ascii=False)[1:-1],
    "in JSON with escaped slashes": json.dumps(KEY)[1:-1].replace("/", "\\/"),
    "in JSON of .NET": "".join(
        c if c.isalnum() and c.isascii() else f"\\u{ord(c):04X}" for c in KEY
    ),
    "in JSON in JSON": json.dumps(json.dumps(KEY)[1:-1])[1:-1],
    "every character in JSON": "".join(f"\\u{ord(c):04x}" for c in KEY),
    "in HTML": html.escape(KEY),
    "in HTML by numbers": "".join(f"&#{ord(c)};" for c in KEY),
    "base64": base64.b64encode(KEY.encode()).decode(),
    "base64, URL-safe": base64.urlsafe_b64encode(KEY.encode()).decode().rstrip("="),
    "base64 in an address": quote(base64.b64encode(KEY.encode()).decode(), safe=""),
    "base64 of a login": base64.b64encode(f"robot:{KEY}".encode()).decode(),
    "base64 of a longer text": base64.b64encode(f'{{"a":"{KEY}"}}'.encode()).decode(),
    "base64 one byte on": base64.b64encode(f" {KEY} ".encode()).decode(),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_secret_is_masked_however_it_is_spelled(spelling: str) -> None:
    assert secrets(KEY=KEY).mask(f"refused: ({SPELLINGS[spelling]})") == "refused: (***)"


def test_a_secret_that_looks_escaped_itself_is_masked_too() -> None:
    value = "p%41ss\\nw&amp;rd-1"
    known = secrets(KEY=value)
    for text in (value, json.dumps(value)[1:-1], quote(value), html.escape(value)):
        assert known.mask(f"({text})") == "(***)", text


def test_secrets_that_overlap_leave_nothing_between_them() -> None:
    known = secrets(A="abcdefgh-1", B="h-1-ijklmn")
    assert known.mask("<abcdefgh-1-ijklmn>") == "<***>"


def test_words_of_others_are_masked_before_they_are_cut() -> None:
    secret = "sk-demo-5f1e8b7c2a9d"
    known = secrets(KEY=secret)
    shown = known.brief(f"denied for {secret}: " + "x" * 5000)
    assert shown.startswith("denied for ***: xxx")
    assert len(shown) == LONGEST_WORDS + len(" …")
    for before in range(LONGEST_WORDS - len(secret), LONGEST_WORDS + 1):
        assert "sk-de" not in known.brief("x" * before + f" {secret}")


def test_a_secret_that_a_server_has_cut_is_masked_too() -> None:
    known = secrets(KEY="sk-demo-5f1e8b7c2a9d", PEM="M" + "IIEvQIBADANBg" * 40)
    for end in ("", "...", " …"):
        assert known.mask(f"refused: sk-demo-5f1e{end}") == f"refused: ***{end}"
    assert "IIEvQIBADANBg" not in known.mask("refused: M" + "IIEvQIBADANBg" * 10 + "...")


def test_a_signed_address_is_a_secret_with_its_query_and_its_signature() -> None:
    known = Secrets()
    known.add_address("https://a.blob.example/c/b?sv=1&sig=ab%2Bcd%2Fef123%3D")
    for text in ("sv=1&sig=ab%2Bcd%2Fef123%3D", "ab+cd/ef123=", "ab%2Bcd%2Fef123%3D"):
        assert "ef123" not in known.mask(f"refused: {text}")


def test_masking_many_long_settings_takes_little_time() -> None:
    document = json.dumps(
        {f"key{n}": f"https://host.example/{n}/value-{n:06}" for n in range(2000)}
    )
    settings = {
        f"S{n}": "\n".join(f"https://{n}.example/{m} x={n}{m}" for m in range(30))
        for n in range(200)
    }
    known = secrets(DOCUMENT=document, **settings)
    began = time.process_time()
    known.mask("warm")
    indexed = time.process_time() - began
    text = json.dumps({"error": document})
    began = time.process_time()
    assert "value-000017" not in known.mask(text)
    assert time.process_time() - began < 2
    assert indexed < 5
    began = time.process_time()
    known.mask_lines(["2026-11-22T21:00:00Z an ordinary line of a log, of some length"] * 30)
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    "piece", ["\\", '\\"', '"', "//a:", "=;", "a=b;", "%", "&#", "aaaa", "//@"]
)
def test_values_and_texts_of_one_repeated_piece_take_little_time(piece: str) -> None:
    began = time.process_time()
    secrets(KEY=piece * (30_000 // len(piece))).mask(piece * (30_000 // len(piece)))
    assert time.process_time() - began < 2


def test_the_beginnings_of_many_tokens_take_little_time() -> None:
    text = "-eyJ" * 50_000
    began = time.process_time()
    assert Secrets().mask(text) == text
    assert time.process_time() - began < 2
    assert Secrets().mask(f"-eyJ {text} -eyJhbGciOiJ9.eyJzdWIi") == f"-eyJ {text} -***"


def test_threads_may_add_and_mask_at_the_same_time() -> None:
    known = Secrets()

    def add(number: int) -> None:
        for each in range(200):
            known.add_settings({"K": f"secret-{number}-{each}"})
            assert known.mask(f"<secret-{number}-{each}>") == "<***>"

    threads = [threading.Thread(target=add, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert known.mask("secret-0-0 secret-3-199") == "*** ***"


def test_what_is_shown_of_the_collection_is_its_size() -> None:
    assert KEY not in repr(secrets(KEY=KEY))
