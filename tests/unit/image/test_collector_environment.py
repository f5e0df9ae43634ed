"""The environment variables of the collector's process, in the shells that images have."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from azext_otelembed.image.collector_environment import set_environment
from azext_otelembed.image.reference import Digest

RECIPE = Digest.of(b"recipe")
NAMES = ("WEBSITE_SITE_NAME", "WEBSITE_SLOT_NAME", "WEBSITE_INSTANCE_ID", "WEBSITE_HOSTNAME")
SHELLS = [
    words
    for words in (["dash"], ["bash"], ["bash", "--posix"], ["busybox", "sh"], ["mksh"], ["zsh"])
    if shutil.which(words[0])
]
in_every_shell = pytest.mark.parametrize("shell", SHELLS, ids=" ".join)


def environment(shell: list[str], variables: dict[str, str], *, recipe: bool) -> dict[str, str]:
    """The variables, and others, as a program started after the commands sees them."""
    commands = set_environment(RECIPE if recipe else None) + "exec /usr/bin/env -0"
    path = shutil.which(shell[0]) or shell[0]
    done = subprocess.run(
        [path, *shell[1:], "-euc", commands], env=variables, capture_output=True, check=True
    )
    assert done.stderr == b""
    entries = done.stdout.decode("utf-8", "surrogateescape").split("\0")
    return dict(entry.split("=", 1) for entry in entries if entry)


@in_every_shell
def test_names_that_azure_allows_stay_as_they_are(shell: list[str]) -> None:
    values = ("shop", "2024-10-01", "007", "c0ffee" * 10 + "1234", "shop-staging.azurewebsites.net")
    for value in (*values, "12345678901234567", "0x1f", ""):
        given = dict.fromkeys(NAMES, value)
        seen = environment(shell, {**given, "OTHER": "$$"}, recipe=True)
        assert {name: seen[name] for name in NAMES} == given
        assert seen["OTHER"] == "$$"
        assert seen["OTELEMBED_RECIPE"] == RECIPE.short


@in_every_shell
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("12345678901234567890", "@text:12345678901234567890"),
        ("0xffffffffffffffff", "@text:0xffffffffffffffff"),
        ("{1: b}", "@text:{1: b}"),
        ("a b\n *\n", "@text:a b\n *\n"),
        ("$", "@text:$$"),
        ("a$$b${env:HOME}$", "@text:a$$$$b$${env:HOME}$$"),
        ("'\"\\`echo x`$(echo x)", "@text:'\"\\`echo x`$$(echo x)"),
        ("Größe", "@text:Größe"),
        ("\udcff", "@text:\udcff"),
    ],
)
def test_other_values_become_text_for_the_collector(
    shell: list[str], value: str, expected: str
) -> None:
    seen = environment(shell, dict.fromkeys(NAMES, value), recipe=True)
    assert {name: seen[name] for name in NAMES} == dict.fromkeys(NAMES, expected)


@in_every_shell
def test_variables_that_are_missing_stay_missing(shell: list[str]) -> None:
    seen = environment(shell, {"OTELEMBED_RECIPE": "0123456789ab"}, recipe=False)
    assert not seen.keys() & {*NAMES, "OTELEMBED_RECIPE"}
