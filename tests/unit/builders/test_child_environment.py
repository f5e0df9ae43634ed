"""The environment that engines and git are started with."""

from __future__ import annotations

import pytest

from azext_otelembed.builders.child_environment import engine_environment, git_environment

SECRETS = (
    *(
        "AZURE_CLIENT_SECRET",
        "AZURE_CLIENT_ID",
        "AZURE_CLIENT_CERTIFICATE_PASSWORD",
        "ARM_ACCESS_KEY",
    ),
    *(
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
        "GITHUB_TOKEN",
        "SYSTEM_ACCESSTOKEN",
        "AWS_SECRET_ACCESS_KEY",
    ),
    *("DOCKER_PASSWORD", "DOCKER_PASS", "DOCKER_TOKEN", "DOCKER_REGISTRY_SERVER_PASSWORD"),
    *("DOCKERHUB_TOKEN", "BUILDX_BAKE_GIT_AUTH_TOKEN", "GIT_TOKEN", "GIT_PASSWORD", "NPM_TOKEN"),
    *("CONTAINER_REGISTRY_KEY", "DATABASE_URL", "APPLICATIONINSIGHTS_CONNECTION_STRING"),
)
NEEDED = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "XDG_RUNTIME_DIR", "SSH_AUTH_SOCK", "TERM"),
    *("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"),
    *(
        "DOCKER_BUILDKIT",
        "DOCKER_CONTENT_TRUST",
        "BUILDX_BUILDER",
        "BUILDKIT_PROGRESS",
        "KUBECONFIG",
    ),
    *("CONTAINERS_CONF", "CONTAINER_HOST", "_CONTAINERS_USERNS_CONFIGURED", "STORAGE_DRIVER"),
    *("REGISTRY_AUTH_FILE", "DBUS_SESSION_BUS_ADDRESS", "SSL_CERT_FILE", "SOURCE_DATE_EPOCH"),
    *("http_proxy", "HTTPS_PROXY", "no_proxy", "SystemRoot", "AppData", "ProgramFiles(x86)"),
)


@pytest.mark.parametrize("name", NEEDED)
def test_an_engine_gets_what_it_reads(name: str) -> None:
    assert engine_environment({name: "x"}) == {name: "x"}


@pytest.mark.parametrize("name", SECRETS)
def test_neither_an_engine_nor_git_gets_a_secret_of_the_caller(name: str) -> None:
    assert engine_environment({name: "x"}) == {}
    assert git_environment({name: "x"}) == {}


def test_an_engine_gets_the_variables_that_build_arguments_name() -> None:
    environment = {"NPM_TOKEN": "x", "VERSION": "1", "AZURE_CLIENT_SECRET": "s"}
    arguments = ("NPM_TOKEN", "VERSION=2", "ABSENT")
    assert engine_environment(environment, arguments) == {"NPM_TOKEN": "x"}


@pytest.mark.parametrize(
    "name", ["PATH", "HOME", "GIT_DIR", "GIT_CONFIG_COUNT", "GIT_CONFIG_KEY_0"]
)
def test_git_gets_what_it_reads(name: str) -> None:
    assert git_environment({name: "x"}) == {name: "x"}
