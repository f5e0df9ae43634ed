"""The images of multi-container sites."""

from __future__ import annotations

import base64
import textwrap

import pytest

from azext_otelembed.prune.deployed_images import compose_images


def encoded(text: str) -> str:
    """As linuxFxVersion has it."""
    return base64.b64encode(textwrap.dedent(text).encode()).decode()


def test_every_service_of_a_compose_file_counts() -> None:
    text = """
        version: "3"
        x-web: &web
          image: r.azurecr.io/shop:1.0
        services:
          web:
            <<: *web
            ports: ["80:8080"]
          other: *web
          cache: {image: redis, environment: {image: {nested: yes}}}
    """
    assert compose_images(encoded(text)) == ("r.azurecr.io/shop:1.0", "redis")


def test_every_container_of_a_kubernetes_document_counts() -> None:
    text = """
        spec:
          containers:
          - name: web
            image: r.azurecr.io/shop@sha256:0
        ---
        spec: {initContainers: [{image: busybox}]}
    """
    assert compose_images(encoded(text)) == ("busybox", "r.azurecr.io/shop@sha256:0")


@pytest.mark.parametrize(
    "text",
    [
        "not base64!",
        "",
        base64.b64encode(b"\xff\xfe\x00").decode(),
        encoded("services: [unclosed"),
        encoded("services: {web: {image: *nothing}}"),
        encoded("services: {web: {build: .}}"),
        encoded("services: {web: {image: redis}, shop: {image: 'r.azurecr.io/shop:${TAG}'}}"),
        encoded("[" * 5000),
    ],
)
def test_what_can_not_be_told_for_certain_is_not_guessed(text: str) -> None:
    assert compose_images(text) is None


def test_a_document_that_holds_itself_comes_to_an_end() -> None:
    assert compose_images(encoded("services: &all {web: {image: redis}, again: *all}")) == (
        "redis",
    )
