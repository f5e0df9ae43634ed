"""What an engine that pushes in our stead is given, and whether the caller may push at all."""

from __future__ import annotations

import pytest

from azext_otelembed.errors import Unauthorized
from azext_otelembed.image.reference import Digest
from azext_otelembed.registry import transfer
from azext_otelembed.registry.auth import Basic
from azext_otelembed.registry.transfer import check_push
from tests.registry.conftest import PULLER, PUSHER, Registries


def test_user_and_password_are_what_docker_login_takes(registries: Registries, name: str) -> None:
    owner = registries.owner()
    given = owner.wire.tokens.login()
    assert given.user == "00000000-0000-0000-0000-000000000000"
    assert given.password not in repr(given)
    engine = registries.client(registries.shop, given)
    transfer.upload(engine, name, Digest.of(b"pushed"), b"pushed")
    assert owner.has_blob(name, Digest.of(b"pushed"))


def test_it_is_asked_for_once(registries: Registries) -> None:
    tokens = registries.owner().wire.tokens
    mark = registries.azure.mark()
    assert tokens.login() == tokens.login()
    assert [r["path"] for r in registries.since(mark)] == ["/oauth2/exchange"]


def test_a_user_and_password_of_the_callers_are_lent_as_they_are(registries: Registries) -> None:
    own = Basic("ada", "secret")
    assert registries.client(registries.shop, own).wire.tokens.login() == own


def test_nobody_has_nothing_to_lend(registries: Registries) -> None:
    with pytest.raises(Unauthorized, match="Nobody is logged in"):
        registries.anonymous().wire.tokens.login()


def test_who_may_push_may_and_the_upload_is_given_up_again(
    registries: Registries, name: str
) -> None:
    mark = registries.azure.mark()
    check_push(registries.principal(PUSHER), name)
    made = [(r["method"], r["status"]) for r in registries.since(mark) if "/v2/" in r["path"]]
    assert made == [("POST", 202), ("DELETE", 204)]


def test_who_may_only_pull_is_told(registries: Registries, name: str) -> None:
    with pytest.raises(Unauthorized, match=f"push to '{name}'"):
        check_push(registries.principal(PULLER), name)
