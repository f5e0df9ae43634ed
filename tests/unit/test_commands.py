"""The table of commands, and what all of them have in common."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from azext_otelembed import custom
from azext_otelembed.azure.credentials import CLI, ENVIRONMENT, MANAGED, WORKLOAD, missing
from azext_otelembed.commands import load_command_table

LOCAL = {"dockerfile"}
"""Commands that ask nobody."""


class Loader:
    """Notes the commands, as az's loader would register them."""

    def __init__(self) -> None:
        self.functions: dict[str, str] = {}

    @contextmanager
    def command_group(self, _name: str, **_options: Any) -> Iterator[Loader]:
        yield self

    def custom_command(self, name: str, function: str, **_options: Any) -> None:
        self.functions[name] = function


def commands() -> dict[str, str]:
    loader = Loader()
    load_command_table(loader, [])
    return loader.functions


@pytest.mark.parametrize("name", sorted(set(commands()) - LOCAL))
def test_every_command_that_calls_azure_takes_a_credential(name: str) -> None:
    function = getattr(custom, commands()[name])
    assert inspect.signature(function).parameters["credential"].default == CLI


@pytest.mark.parametrize(
    ("kind", "environment", "gone"),
    [
        (CLI, {}, []),
        (MANAGED, {}, []),
        (WORKLOAD, {"AZURE_TENANT_ID": "t", "AZURE_FEDERATED_TOKEN_FILE": "f"}, [1]),
        (ENVIRONMENT, {"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c"}, [2]),
        (ENVIRONMENT, {"AZURE_TENANT_ID": "", "AZURE_CLIENT_SECRET": "s"}, [0, 1]),
        (
            ENVIRONMENT,
            {
                "AZURE_TENANT_ID": "t",
                "AZURE_CLIENT_ID": "c",
                "AZURE_CLIENT_SECRET": "",
                "AZURE_CLIENT_CERTIFICATE_PATH": "p",
            },
            [],
        ),
    ],
)
def test_what_a_credential_misses_is_named(
    kind: str, environment: dict[str, str], gone: list[int]
) -> None:
    names = [
        "AZURE_TENANT_ID",
        "AZURE_CLIENT_ID",
        "AZURE_CLIENT_SECRET (or AZURE_CLIENT_CERTIFICATE_PATH)",
    ]
    assert missing(kind, environment) == [names[number] for number in gone]
