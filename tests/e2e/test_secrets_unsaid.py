"""What must never be said: connection strings, app settings, tokens and signatures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import images
from tests.e2e.support import API_KEY, SETTING, Answer, Cloud, Site

VAULT_PASSWORD = "pull-me-Pl3ase-now"
SHAPES = {
    "a JWT": r"eyJ[\w-]{8,}\.[\w-]{8,}",
    "a bearer token": r"[Bb]earer (?!\*|\[|None|realm|error|authorization)\S{12,}",
    "a signature": r"sig=(?!\*\*\*|&|\W)[\w%/+-]{12,}",
    "a refresh token": r"(refresh|access)_token['\"]?[:=]\s*['\"]?[\w.-]{20,}",
}


@pytest.fixture(scope="module")
def secret(cloud: Cloud) -> Site:
    """A site whose app settings hold secrets of several shapes."""
    return cloud.make_site(
        registry=cloud.add_registry(),
        settings={
            "DATABASE": "Server=db.example;User Id=shop;Password=hunter2-hunter2",
            "EMPTY": "",
            "SHORT_SECRET": "s3cr3t-x",
        },
    )


def leaks(site: Site, answer: Answer) -> Iterator[str]:
    """Everything in the output that must not be there."""
    text = answer.stdout + answer.stderr
    connection = site.cloud.connection_string(site.component or "")
    values = {
        "the connection string": connection,
        "its instrumentation key": connection.split(";")[0].partition("=")[2],
        "the key among the app settings": API_KEY,
        "a password among the app settings": "hunter2-hunter2",
        "a short app setting": "s3cr3t-x",
        "the client's secret": site.cloud.local.client_secret,
        "the password of the collector's registry": VAULT_PASSWORD,
        "a password among the app settings in an address": "hunter2%2Dhunter2",
        "a password among the app settings in base64": "aHVudGVyMi1odW50ZXIy",
        "a password among the app settings in JSON": "\\u0068unter2-hunter2",
    }
    for what, value in values.items():
        if value in text:
            yield f"{what}: …{text[max(text.index(value) - 200, 0) :][:260]}…"
    for what, shape in SHAPES.items():
        if found := re.search(shape, text):
            yield f"{what}: …{text[max(found.start() - 200, 0) : found.end()]}…"


def quiet(site: Site, answer: Answer) -> None:
    assert "cli.azure.cli.core" in answer.stderr, "--debug was on"
    assert "otelembed" in answer.stderr
    assert not list(leaks(site, answer))


SAID = (
    f"Bad: {API_KEY}; Password=hunter2-hunter2; hunter2%2Dhunter2; s3cr3t-x; "
    "aHVudGVyMi1odW50ZXIy; \\u0068unter2-hunter2"
)
"""The words of a server that quotes app settings."""
HOSTILE = {
    "status": 400,
    "body": {
        "error": {"code": "BadRequest", "message": SAID},
        "errors": [{"code": "DENIED", "message": SAID}],
    },
}
FAILURES: dict[str, dict[str, Any]] = {
    "the import is refused": {"service": "arm", "path": "importImage", "status": 403},
    "a signed address is refused": {"service": "blob", "status": 403},
    "blob storage cuts the connection": {"service": "blob", "reset": True},
    "a token is refused": {"service": "acr", "path": "/oauth2/token", "status": 401},
    "the settings can't be read": {"service": "arm", "path": "appsettings/list", "reset": True},
    "the settings can't be written": {
        **{"service": "arm", "path": "appsettings$", "method": "PUT", "status": 409}
    },
    "Azure quotes the settings": {**HOSTILE, "service": "arm", "path": "appsettings$"},
    "the registry quotes the settings": {**HOSTILE, "service": "acr", "method": "PUT"},
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_deploy_that_fails_with_debug_leaks_nothing(secret: Site, failure: str) -> None:
    with secret.cloud.fault(**FAILURES[failure], times=0):
        answer = secret.deploy("--debug")
    assert answer.returncode == 1, answer.stderr[-3000:]
    quiet(secret, answer)


def test_a_deploy_that_signs_in_with_debug_leaks_nothing(secret: Site) -> None:
    cloud = secret.cloud
    az = cloud.caller(("Owner", f"/subscriptions/{cloud.local.subscription}"))
    (az.config_dir / "msal_token_cache.json").unlink()
    answer = secret.deploy("--debug", az=az)
    assert answer.returncode == 0, answer.stderr[-3000:]
    assert [r for r in answer.requests if r["path"].endswith("/oauth2/v2.0/token")]
    quiet(secret, answer)


def test_deploying_again_with_debug_leaks_nothing(secret: Site) -> None:
    answer = secret.deploy("--debug", "--app-insights", secret.component or "")
    assert answer.returncode == 0, answer.stderr[-3000:]
    assert answer.json["changed"] is False
    quiet(secret, answer)


def test_a_status_with_debug_leaks_nothing(secret: Site) -> None:
    answer = secret.status("--debug", "--check", "--wait", "60")
    assert answer.returncode == 0, answer.stderr[-3000:]
    quiet(secret, answer)


def test_a_connection_string_from_a_file_leaks_nothing_with_debug(
    secret: Site, tmp_path: Path
) -> None:
    file = tmp_path / "connection-string"
    file.write_text(secret.cloud.connection_string(secret.component or ""))
    answer = secret.deploy("--debug", "--dry-run", "--connection-string", f"@{file}")
    assert answer.returncode == 0, answer.stderr[-3000:]
    quiet(secret, answer)


@pytest.mark.parametrize("given", ["@file", "-"])
def test_the_password_of_the_collectors_registry_is_not_said_with_debug(
    secret: Site, tmp_path: Path, given: str
) -> None:
    local = secret.cloud.local
    vault = f"vault{len(local.registries)}"
    local.add_registry({"name": vault, "acr": False, "users": {"robot": VAULT_PASSWORD}})
    missing = f"{local.registries[vault]}/team/collector:0.9.0"
    file = tmp_path / "password"
    file.write_text(VAULT_PASSWORD)
    word, more = (f"@{file}", {}) if given == "@file" else ("-", {"input": VAULT_PASSWORD})
    login = ("--collector-username", "robot", "--collector-password", word)
    answer = secret.deploy("--debug", "--collector-image", missing, *login, **more)
    assert answer.returncode == 3, answer.stderr[-3000:]
    # Both ways were tried with it: the registry's own import, and a copy.
    assert [r for r in answer.requests if r["path"].endswith("/importImage")]
    assert [r for r in answer.requests if r["service"] == "registry" and r["authorization"]]
    quiet(secret, answer)


def test_what_a_failed_container_logs_of_its_secrets_is_hidden(
    secret: Site, tmp_path: Path
) -> None:
    told = f"echo key $PAYMENT_API_KEY; echo to $DATABASE; echo telemetry ${SETTING}"
    secret.push("chatty", images.shell(tmp_path, f"echo environment:; {told}; exit 1"))
    arguments = ("--image", secret.image("chatty"), "--timeout", "25", "--no-rollback")
    answer = secret.deploy(*arguments, "--debug")
    assert answer.returncode == 5, answer.stderr[-3000:]
    assert "environment:" in answer.stderr, "the log's last lines are shown"
    quiet(secret, answer)


def test_the_walls_against_leaks_would_notice_one(secret: Site) -> None:
    listed = secret.cloud.run("webapp", "config", "appsettings", "list", *secret.arguments)
    assert "the key among the app settings" in " ".join(leaks(secret, listed))
