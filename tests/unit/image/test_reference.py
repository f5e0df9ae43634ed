"""Names of images and digests."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image.reference import Digest, Reference

HEX = "0123456789abcdef" * 4
DIGEST = f"sha256:{HEX}"

labels = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9-]{0,5}[A-Za-z0-9])?", fullmatch=True)
hosts = st.lists(labels, min_size=1, max_size=3).map(".".join)
ports = st.none() | st.integers(1, 65535)
components = st.from_regex(r"[a-z0-9]{1,6}((\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}", fullmatch=True)
digests = st.builds(Digest.of, st.binary(max_size=4))


@st.composite
def references(draw: st.DrawFn) -> Reference:
    host, port = draw(hosts), draw(ports)
    if port is not None:
        host = f"{host}:{port}"
    elif "." not in host and not any(letter.isupper() for letter in host):
        host = "localhost"  # any other single lower-case word is read as a part of the path
    parts = draw(st.lists(components, min_size=1, max_size=3))
    if host in ("docker.io", "index.docker.io"):
        host = "registry.example"
    tag = draw(st.none() | st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True))
    return Reference(host, "/".join(parts), tag, draw(st.none() | digests))


@given(references())
def test_a_reference_reads_back_as_it_is_written(reference: Reference) -> None:
    assert Reference.parse(str(reference)) == reference


@given(st.text(max_size=40) | st.text("aA0:/@.-_[]% ", max_size=20))
def test_any_text_is_a_reference_that_reads_back_or_a_problem(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except InvalidImage:
        return
    assert Reference.parse(str(reference)) == reference


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("nginx", "docker.io/library/nginx"),
        ("nginx:1.27", "docker.io/library/nginx:1.27"),
        (f"nginx@{DIGEST}", f"docker.io/library/nginx@{DIGEST}"),
        ("otel/collector:1", "docker.io/otel/collector:1"),
        ("index.docker.io/nginx", "docker.io/library/nginx"),
        ("localhost/shop", "localhost/shop"),
        ("localhost:5000/shop:1.0", "localhost:5000/shop:1.0"),
        ("shop.azurecr.io/a/b__c/d-e.f:V_1.0-x", "shop.azurecr.io/a/b__c/d-e.f:V_1.0-x"),
        ("Shop.AzureCR.io/web", "Shop.AzureCR.io/web"),
        ("MYHOST/web", "MYHOST/web"),
        ("[::1]:5000/web:1", "[::1]:5000/web:1"),
        (f"shop.azurecr.io/web:1@{DIGEST}", f"shop.azurecr.io/web:1@{DIGEST}"),
        ("shop:80", "docker.io/library/shop:80"),
    ],
)
def test_names_are_completed_as_docker_does(text: str, full: str) -> None:
    assert str(Reference.parse(text)) == full


@pytest.mark.parametrize(
    "text",
    [
        *("", " nginx", "nginx ", "nginx\n", "Nginx", "a/b___c", "web/-x", HEX),
        *("shop.azurecr.io/Web", "shop.azurecr.io/wéb", "shop.azurecr.io//web"),
        *("shop.azurecr.io/web/", f"shop.azurecr.io/{'a' * 255}"),
        *("shop.azurecr.io/web:", "shop.azurecr.io/web:.1", "shop.azurecr.io/web:١"),
        f"shop.azurecr.io/web:{'a' * 129}",
        *("shop.azurecr.io/web@", "shop.azurecr.io/web@sha256:123"),
        f"shop.azurecr.io/web@sha256:{HEX.upper()}",
        f"shop.azurecr.io/web@md5:{'0' * 32}",
        *("https://shop.azurecr.io/web", "shop.azurecr.io:port/web", "-shop.azurecr.io/web"),
        *("DOCKER|shop.azurecr.io/web:1", "straße.example/web"),
    ],
)
def test_a_malformed_name_is_a_problem_that_says_so(text: str) -> None:
    with pytest.raises(InvalidImage) as caught:
        Reference.parse(text)
    assert caught.value.message.endswith(".")


def test_a_capital_in_a_repository_is_explained() -> None:
    with pytest.raises(InvalidImage, match="must be in lower case"):
        Reference.parse("shop.azurecr.io/Web:1")


def test_a_tag_takes_the_place_of_tag_and_digest() -> None:
    reference = Reference.parse(f"shop.azurecr.io/web:1@{DIGEST}")
    assert str(reference.with_tag("2")) == "shop.azurecr.io/web:2"
    pinned = reference.with_digest(Digest.of(b""))
    assert str(pinned).startswith("shop.azurecr.io/web:1@sha256:e3b0")
    with pytest.raises(InvalidImage):
        reference.with_tag("not a tag")


def test_a_manifest_is_asked_for_by_digest_then_tag_then_latest() -> None:
    assert Reference.parse(f"a.io/b:1@{DIGEST}").selector == DIGEST
    assert Reference.parse("a.io/b:1").selector == "1"
    assert Reference.parse("a.io/b").selector == "latest"
    assert str(Reference.parse("a.io/b").or_latest()) == "a.io/b:latest"
    assert str(Reference.parse(f"a.io/b@{DIGEST}").or_latest()) == f"a.io/b@{DIGEST}"


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_content_is_checked_against_its_digest(algorithm: str) -> None:
    right, wrong = (
        Digest(algorithm, hashlib.new(algorithm, data).hexdigest())
        for data in (b"content", b"contend")
    )
    right.check(b"content", "The blob")
    with pytest.raises(InvalidImage, match=f"The blob should have the digest {right}") as caught:
        right.check(b"contend", "The blob")
    assert str(wrong) in caught.value.message


@given(digests)
def test_a_digest_reads_back_as_it_is_written(digest: Digest) -> None:
    assert Digest.parse(str(digest)) == digest
    assert len(digest.short) == 12


@pytest.mark.parametrize("text", ["", "sha256", "sha256:", f"sha1:{'0' * 40}", f"{DIGEST}0", ":x"])
def test_a_malformed_digest_is_a_problem(text: str) -> None:
    with pytest.raises(InvalidImage):
        Digest.parse(text)
