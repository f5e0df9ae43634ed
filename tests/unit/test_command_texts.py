"""The az commands in messages: subscription, credential, quoting, and one place for all of them."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from azext_otelembed.az_commands import Caller, option, placeholder, quote
from azext_otelembed.azure import pull_access
from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.pull_access import PullMethod
from azext_otelembed.azure.registries import Registry
from azext_otelembed.azure.session import Session
from azext_otelembed.azure.sites import SiteId
from azext_otelembed.errors import Refused

PACKAGE = Path(__file__).resolve().parents[2] / "azext_otelembed"
DEV, PROD = "dddddddd-0000-4000-8000-000000000000", "aaaaaaaa-0000-4000-8000-000000000000"


def as_typed(command: str) -> list[str]:
    """The words of a command as a shell hands them to az."""
    script = f"az() {{ printf '%s\\n' \"$@\"; }}\n{command}"
    shell = ["/bin/sh", "-c", script]
    return subprocess.run(shell, capture_output=True, text=True, check=True).stdout.splitlines()


def test_a_command_names_its_subscription_unless_it_is_the_current_one() -> None:
    shop = SiteId(PROD, "rg", "shop", caller=Caller(DEV))
    assert shop.command("webapp show") == f"az webapp show -g rg -n shop --subscription {PROD}"
    assert shop.arguments == f"-g rg -n shop --subscription {PROD}"
    here = SiteId(PROD, "rg", "shop", "blue", Caller(PROD.upper()))
    assert here.command("webapp show") == "az webapp show -g rg -n shop --slot blue"
    assert SiteId(PROD, "rg", "shop", caller=Caller("")).arguments == shop.arguments


def test_only_commands_of_otelembed_repeat_the_credential() -> None:
    shop = SiteId(PROD, "rg", "shop", caller=Caller("", "managed-identity"))
    named = f"-g rg -n shop --subscription {PROD}"
    wait = shop.command("otelembed wait", "--timeout", "9")
    assert wait == f"az otelembed wait {named} --credential managed-identity --timeout 9"
    assert shop.command("webapp start") == f"az webapp start {named}"


def test_a_registry_of_another_subscription_than_the_sites_is_named_with_its_own() -> None:
    path = "resourceGroups/rg/providers/Microsoft.ContainerRegistry/registries/shop"
    registry = Registry(f"/subscriptions/{PROD}/{path}", "shop", "shop.azurecr.io")
    command = registry.command(Caller(DEV), "task logs", "--run-id", "ca1", option="-r")
    assert command == f"az acr task logs -r shop --subscription {PROD} --run-id ca1"
    assert registry.command(Caller(PROD), "show") == "az acr show -n shop"


def test_sites_are_equal_whatever_their_callers() -> None:
    one = SiteId(PROD, "rg", "shop", caller=Caller(DEV))
    assert len({one, SiteId(PROD, "rg", "shop"), SiteId(PROD, "rg", "shop", None, Caller(""))}) == 1


@pytest.mark.parametrize(
    "name", ["Ada's group", "prod (eu)", "$(id)", "a;b", "`id`", "-leading", "größe", "a\\b", '"x"']
)
def test_a_shell_reads_a_name_as_it_is(name: str) -> None:
    shop = SiteId(PROD, name, "shop", caller=Caller(DEV))
    typed = as_typed(shop.command("webapp show", *option("--startup-cmd", name)))
    joined = name.startswith("-")
    group = [f"-g={name}"] if joined else ["-g", name]
    startup = [f"--startup-cmd={name}"] if joined else ["--startup-cmd", name]
    rest = ["-n", "shop", "--subscription", PROD, *startup]
    assert typed == ["webapp", "show", *group, *rest]


@pytest.mark.parametrize(
    ("word", "quoted"),
    [
        ("shop-rg", "shop-rg"),
        ("shop.azurecr.io/shop:1.0", "shop.azurecr.io/shop:1.0"),
        ("prod (eu)", '"prod (eu)"'),
        ("Ada's", '"Ada\'s"'),
        ('{"a": 1}', '"{\\"a\\": 1}"'),
        ('say "a\\"b"', '"say \\"a\\\\\\"b\\""'),
        ("C:\\Program Files\\", '"C:\\Program Files\\\\"'),
        ("a\\b c", '"a\\b c"'),
        ("", '""'),
        (placeholder("its id"), "<its id>"),
        ("<its id>", '"<its id>"'),
    ],
)
def test_on_windows_double_quotes_are_used(word: str, quoted: str) -> None:
    assert quote(word, windows=True) == quoted


def test_the_command_that_turns_the_identity_on_needs_no_quotes_in_any_shell() -> None:
    session = Session(
        credential=None,  # type: ignore[arg-type]  # nothing is requested
        subscription=PROD,
        tenant="t",
        arm_endpoint="https://management.azure.com",
        arm_scope="",
        acr_suffix="azurecr.io",
    )
    registry = Registry("/r", "shop", "shop.azurecr.io")
    with pytest.raises(Refused) as refused:
        pull_access.check(Arm(session), SiteId(PROD, "rg", "shop"), PullMethod(), registry)
    setting = "--generic-configurations acrUseManagedIdentityCreds=true`"
    assert setting in str(refused.value.recommendation)


def test_a_registry_whose_name_is_unknown_is_looked_up_in_its_subscription() -> None:
    told = Caller(DEV).acr_command("x.azurecr.io", "repository show", subscription=PROD)
    lookup = "az acr list --query \"[?loginServer=='x.azurecr.io'].name\" -o tsv"
    elsewhere = f"--subscription {PROD}"
    assert told == f"az acr repository show -n $({lookup} {elsewhere}) {elsewhere}"


# One place makes them

COMMAND = re.compile(r"(?:^|[`(\n]\s*)az (?P<words>[a-z][a-z -]*)")
ABOUT_NO_RESOURCE = ("login", "account ", "extension ", "config set ")
FREE = ("az_commands", "_help", "_params", "dockerfile_template")
"""The module that makes commands, az's help, and the text of a Dockerfile."""


def verifies_another_path(path: Path) -> list[str]:
    """The commands of a module that verify a release, written out without its health path."""
    return [
        f"{path.name}:{node.lineno}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "command"
        and any(
            isinstance(one, ast.Constant) and one.value in ("otelembed wait", "otelembed rollback")
            for one in node.args
        )
        and not any(isinstance(one, ast.Starred) for one in node.args)
    ]


def test_a_printed_command_that_verifies_asks_the_path_that_the_running_one_asks() -> None:
    assert [one for path in PACKAGE.rglob("*.py") for one in verifies_another_path(path)] == []


def texts(path: Path) -> Iterator[ast.Constant]:
    """The strings of a module that are no docstrings."""
    tree = ast.parse(path.read_text())
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node


def made_elsewhere(path: Path) -> list[str]:
    """The commands that a module writes out, other than those that address no resource."""
    return [
        f"{path.name}:{node.lineno}: az {found['words']}"
        for node in texts(path)
        for found in COMMAND.finditer(str(node.value))
        if not found["words"].startswith(ABOUT_NO_RESOURCE) and "--help" not in found["words"]
    ]


def test_no_module_writes_out_a_command_by_itself() -> None:
    paths = [path for path in sorted(PACKAGE.rglob("*.py")) if path.stem not in FREE]
    assert [found for path in paths for found in made_elsewhere(path)] == []


@pytest.mark.parametrize(
    "line",
    [
        'told = f"See `az webapp show {site.arguments}`."',
        'told = f"az otelembed wait {site.arguments}"',
        'told = "Verify it again with:\\n  az otelembed wait"',
        'told = ("Look: " "`az acr list -o table`.")',
    ],
)
def test_the_guard_sees_such_a_command(line: str, tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(line)
    assert made_elsewhere(tmp_path / "module.py") != []
