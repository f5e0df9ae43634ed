from __future__ import annotations

import json
import time
from email.utils import formatdate

import pytest

from azext_otelembed.redaction import Secrets
from azext_otelembed.registry.error_responses import error_for, registry_message
from azext_otelembed.registry.http_headers import next_page, retry_after_seconds
from azext_otelembed.urls import origin


@pytest.mark.parametrize(
    ("header", "seconds"), [(None, None), ("", None), ("7", 7), ("0.5", 0.5), ("soon", None)]
)
def test_retry_after_is_read_as_seconds(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header) == seconds


def test_retry_after_may_be_a_date() -> None:
    later, earlier = (formatdate(time.time() + offset, usegmt=True) for offset in (90, -90))
    assert retry_after_seconds(later) == pytest.approx(90, abs=2)
    assert retry_after_seconds(earlier) == 0


@pytest.mark.parametrize(
    ("header", "advised"),
    [
        ("1.5", "Run the same command again in 2 seconds."),
        ("Thu, 01 Jan 1970 00:00:00 GMT", ""),
        *((odd, "") for odd in ("²", "nan", "inf", "-5", "9" * 5000, "##vso[task.complete]")),
    ],
)
def test_an_odd_retry_after_is_no_advice(header: str, advised: str) -> None:
    sent = {"Retry-After": header}
    refused = error_for("r.example", "a manifest", 429, sent, b"")
    assert refused.recommendation == (
        advised or "Run the same command again: what was sent already is kept."
    )


@pytest.mark.parametrize(
    ("link", "page"),
    [
        (None, None),
        ('</v2/a/tags/list?last=v1&n=2&by=>; rel="next"', "/v2/a/tags/list?last=v1&n=2&by="),
        ("<https://x/1>; rel=prev, <https://x/3>; rel=next", "https://x/3"),
        ('<https://x/1>; rel="prev"', None),
    ],
)
def test_the_next_page_is_in_the_link_header(link: str | None, page: str | None) -> None:
    assert next_page(link) == page


def test_an_origin_is_scheme_host_and_port() -> None:
    assert origin("https://A.example/x") == origin("https://a.example:443/y")
    assert origin("https://a.example") != origin("http://a.example")
    assert origin("https://localhost:1/") != origin("https://localhost:2/")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", ""),
        (b"<html>", ""),
        (b"[]", ""),
        (b'{"errors":[]}', ""),
        (b'{"errors":[{"code":"DENIED","message":"no"}]}', "no (DENIED)"),
        (b'{"errors":[{"code":"DENIED"}]}', "DENIED"),
        (b'{"message":"plain"}', "plain"),
    ],
)
def test_what_a_registry_says_is_taken_from_its_errors(body: bytes, text: str) -> None:
    assert registry_message(body, Secrets()) == text


def test_an_error_names_registry_thing_and_reason() -> None:
    body = b'{"errors":[{"code":"TAG_INVALID","message":"locked"}]}'
    error = error_for("shop.example", "manifest 'a:1'", 409, {}, body)
    assert error.message == (
        "Registry 'shop.example' answered HTTP 409 on manifest 'a:1': locked (TAG_INVALID)"
    )


def test_a_registrys_message_is_masked_before_it_is_cut() -> None:
    secrets = Secrets()
    secrets.add("refresh-5f1e8b7c2a9d")
    said = "x" * 290 + " refresh-5f1e8b7c2a9d"
    body = json.dumps({"errors": [{"code": "DENIED", "message": said}]}).encode()
    error = error_for("shop.example", "manifest 'a:1'", 403, {}, body, secrets=secrets)
    assert "refresh-5" not in error.message
