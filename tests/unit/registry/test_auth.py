from __future__ import annotations

import base64
import json
import time
from email.utils import formatdate
from typing import Any

import pytest

from azext_otelembed.registry.auth import AcrExchange, Basic, Challenge, challenges
from azext_otelembed.registry.scope import Scope, covers, describe, merged, pull, push
from azext_otelembed.registry.tokens import lifetime

PUSH = "repository:x/y:pull,push"


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("", []),
        (
            'Bearer realm="https://a/t",service="a",scope="repository:x/y:pull,push"',
            [("bearer", {"realm": "https://a/t", "service": "a", "scope": PUSH})],
        ),
        (
            'Basic realm="one, two", Bearer realm="https://a/t", error="insufficient_scope"',
            [
                ("basic", {"realm": "one, two"}),
                ("bearer", {"realm": "https://a/t", "error": "insufficient_scope"}),
            ],
        ),
        ('Bearer realm="a \\"quoted\\" one"', [("bearer", {"realm": 'a "quoted" one'})]),
        ("Bearer realm=bare,service=b", [("bearer", {"realm": "bare", "service": "b"})]),
        ('Negotiate, Basic realm="b"', [("negotiate", {}), ("basic", {"realm": "b"})]),
        ('BEARER Realm = "x"', [("bearer", {"realm": "x"})]),
        ("???", []),
    ],
)
def test_challenges_are_read_as_rfc_9110_has_them(
    header: str, found: list[tuple[str, dict[str, str]]]
) -> None:
    assert [(each.scheme, dict(each.parameters)) for each in challenges(header)] == found


def test_a_challenge_tells_its_scopes() -> None:
    text = "repository:a/b:push,pull registry:catalog:* nonsense"
    challenge = Challenge("bearer", {"scope": text})
    assert challenge.scopes == (push("a/b"), Scope("catalog", frozenset("*"), "registry"))


def test_scopes_are_merged_and_compared_by_resource() -> None:
    both = merged([pull("b"), push("a"), pull("a")])
    assert [str(scope) for scope in both] == ["repository:a:pull,push", "repository:b:pull"]
    assert covers(both, [pull("a")])
    assert covers(both, [])
    assert not covers(both, [push("b")])
    assert not covers(both, [pull("c")])
    assert describe([push("a"), pull("b")]) == "push to 'a' and pull of 'b'"


def test_secrets_are_not_in_what_a_credential_shows() -> None:
    assert "pass" not in repr(Basic("user", "pass")).replace("password", "")
    assert Basic("user", "pass").header == "Basic dXNlcjpwYXNz"
    assert "tenant" in repr(AcrExchange(lambda: "token", "tenant"))


def token(**claims: Any) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{body}.c2ln"


def test_a_told_lifetime_counts_first() -> None:
    assert lifetime(token(exp=1), {"expires_in": 300}, None) == 270


def test_a_jwt_tells_its_end_by_the_servers_clock() -> None:
    there = time.time() + 5000  # the server's clock is 83 minutes ahead of ours
    issued = token(iat=there - 900, exp=there + 3600)
    assert lifetime(issued, {}, formatdate(there, usegmt=True)) == pytest.approx(3540, abs=2)


@pytest.mark.parametrize("opaque", ["", "opaque", "a.b.c", "e30.e30.x", "e30.bnVsbA.x"])
def test_a_token_that_tells_nothing_lives_a_minute(opaque: str) -> None:
    assert lifetime(opaque, {}, None) == 54
