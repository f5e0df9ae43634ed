"""Credentials lent to an engine: asked for as engines ask, with the helper that it would run."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from azext_otelembed.builders.credential_server import CredentialServer
from azext_otelembed.errors import BuildFailed, Unauthorized
from azext_otelembed.registry.auth import Basic

HOST = "shopregistry.azurecr.io"
SECRET = "eyJ.refresh.token"
AUTH = base64.b64encode(b"ada:pass:word").decode()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TMPDIR", "/tmp")  # noqa: S108  # a short path, for the socket
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    (tmp_path / ".docker").mkdir()
    return tmp_path


@pytest.fixture
def server(home: Path) -> Iterator[CredentialServer]:
    with CredentialServer({HOST: lambda: Basic("user", SECRET)}) as server:
        yield server


def environment(home: Path, **more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(home), **more}


@pytest.fixture
def lent(server: CredentialServer, home: Path) -> dict[str, str]:
    """The environment for docker, with an empty configuration of the user's."""
    return server.docker_environment(environment(home))


def ask(environment: dict[str, str], host: str, action: str = "get") -> tuple[int, str]:
    """What a credential helper says, found on PATH and asked as engines do."""
    program = shutil.which("docker-credential-otelembed", path=environment["PATH"])
    assert program is not None
    done = subprocess.run(
        [program, action], input=host, capture_output=True, text=True, env=environment, check=False
    )
    return done.returncode, done.stdout


def config(environment: dict[str, str]) -> dict[str, object]:
    file = Path(environment["DOCKER_CONFIG"]) / "config.json"
    found: dict[str, object] = json.loads(file.read_bytes())
    return found


def contents(folder: Path) -> bytes:
    return b"".join(f.read_bytes() for f in folder.rglob("*") if f.is_file())


def test_an_engine_gets_user_and_password_from_the_helper(lent: dict[str, str]) -> None:
    assert config(lent)["credHelpers"] == {HOST: "otelembed"}
    status, said = ask(lent, f"{HOST}\n")
    assert status == 0
    assert json.loads(said) == {"ServerURL": HOST, "Username": "user", "Secret": SECRET}


def test_no_secret_lands_in_a_file_or_in_the_environment(
    server: CredentialServer, home: Path
) -> None:
    lent = {
        **server.docker_environment(environment(home)),
        **server.podman_environment(environment(home)),
    }
    assert ask(lent, HOST)[0] == 0
    assert SECRET.encode() not in contents(server.folder)
    assert SECRET not in str(lent)


def test_nobody_else_may_enter_the_folder_and_it_is_gone_after_an_error_too(home: Path) -> None:
    for error in (None, KeyboardInterrupt()):
        with contextlib.suppress(KeyboardInterrupt), CredentialServer({}) as server:
            server.docker_environment(environment(home))
            assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
            if error:
                raise error
        assert not server.folder.exists()


def test_other_hosts_have_no_credentials_and_nothing_is_ever_stored(lent: dict[str, str]) -> None:
    assert ask(lent, "docker.io") == (1, "credentials not found in native keychain")
    assert ask(lent, "", "list") == (0, "{}")
    assert ask(lent, json.dumps({"ServerURL": HOST, "Secret": "x"}), "store") == (0, "")
    assert ask(lent, HOST, "erase") == (0, "")
    assert ask(lent, HOST)[0] == 0


def test_all_else_of_the_callers_configuration_goes_on_to_count(
    server: CredentialServer, home: Path
) -> None:
    before = home / ".docker"
    (before / "contexts").mkdir()
    (before / "contexts" / "meta").write_text("colima")
    own = {
        "currentContext": "colima",
        "credsStore": "osxkeychain",
        "credHelpers": {"ghcr.io": "gh"},
        "auths": {"ghcr.io": {}, HOST: {"auth": AUTH}},
    }
    (before / "config.json").write_text(json.dumps(own))
    lent = server.docker_environment(environment(home))
    assert config(lent) == {
        "currentContext": "colima",
        "credsStore": "osxkeychain",
        "credHelpers": {"ghcr.io": "gh", HOST: "otelembed"},
        "auths": {},
    }
    assert (Path(lent["DOCKER_CONFIG"]) / "contexts" / "meta").read_text() == "colima"
    assert json.loads(ask(lent, HOST)[1])["Secret"] == SECRET
    assert json.loads((before / "config.json").read_text()) == own


def test_passwords_in_the_callers_configuration_are_lent_and_not_copied(
    server: CredentialServer, home: Path
) -> None:
    auths = {"ghcr.io": {"auth": AUTH}, "https://index.docker.io/v1/": {"identitytoken": "tok"}}
    own = home / "own"
    own.mkdir()
    (own / "config.json").write_text(json.dumps({"auths": auths}))
    lent = server.docker_environment(environment(home, DOCKER_CONFIG=str(own)))
    assert json.loads(ask(lent, "ghcr.io")[1]) == {
        "ServerURL": "ghcr.io",
        "Username": "ada",
        "Secret": "pass:word",
    }
    hub = json.loads(ask(lent, "https://index.docker.io/v1/")[1])
    assert (hub["Username"], hub["Secret"]) == ("<token>", "tok")
    assert AUTH.encode() not in contents(server.folder)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"auths": {"a": {"auth": "%%"}}}'])
def test_a_configuration_that_makes_no_sense_counts_as_none(
    server: CredentialServer, home: Path, text: str
) -> None:
    (home / ".docker" / "config.json").write_text(text)
    lent = server.docker_environment(environment(home))
    assert config(lent)["credHelpers"] == {HOST: "otelembed"}


@pytest.mark.parametrize("name", ["nowhere", "file"])
def test_a_configuration_that_may_not_be_read_counts_as_none(
    server: CredentialServer, home: Path, name: str
) -> None:
    (home / "file").write_text("")
    lent = server.docker_environment(environment(home, DOCKER_CONFIG=str(home / name)))
    assert config(lent) == {"auths": {}, "credHelpers": {HOST: "otelembed"}}


def test_a_temporary_folder_with_a_long_path_is_passed_over(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = home / ("long" * 20)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    monkeypatch.setenv("HOME", "/tmp")  # noqa: S108
    with CredentialServer({HOST: lambda: Basic("user", SECRET)}) as server:
        assert server.folder.parent == Path("/tmp")  # noqa: S108
    monkeypatch.setenv("HOME", str(long))
    with pytest.raises(BuildFailed, match="no folder to start") as caught:
        CredentialServer({}).__enter__()
    assert "TMPDIR" in str(caught.value.recommendation)
    assert list(long.iterdir()) == []


def test_podman_finds_them_where_it_looks(server: CredentialServer, home: Path) -> None:
    own = home / "auth.json"
    own.write_text(json.dumps({"auths": {"quay.io": {"auth": AUTH}}}))
    lent = server.podman_environment(environment(home, REGISTRY_AUTH_FILE=str(own)))
    written = json.loads(Path(lent["REGISTRY_AUTH_FILE"]).read_bytes())
    assert written == {"auths": {}, "credHelpers": {"quay.io": "otelembed", HOST: "otelembed"}}
    assert json.loads(ask(lent, "quay.io")[1])["Username"] == "ada"


def test_an_error_on_getting_a_token_is_kept_for_the_caller(home: Path) -> None:
    def refuse() -> Basic:
        raise Unauthorized("No token for you.")

    with CredentialServer({HOST: refuse}) as server:
        assert ask(server.docker_environment(environment(home)), HOST)[0] == 1
        assert isinstance(server.failure, Unauthorized)
