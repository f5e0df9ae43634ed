"""Registry credentials lent to a container engine: they pass through memory, never through a file.

`docker login` writes passwords into a file in the clear. Instead the engine gets a configuration
that names a credential helper, a small program that asks this process through a Unix socket in a
folder which only this user can enter. The caller's own configuration goes on to count: what it
holds is linked or taken over, except that passwords in it are lent in the same way.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import os
import shlex
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from azext_otelembed.builders import credential_helper
from azext_otelembed.errors import BuildFailed, OtelembedError
from azext_otelembed.registry.auth import Basic

NAME = "otelembed"
_LONGEST_HOST = 4096
_LONGEST_FOLDER = 90  # bytes; a socket's path may have 103 on macOS, 107 on Linux

Login = Callable[[], Basic]
"""Gives user and password when they are asked for; raises an `OtelembedError`."""


class CredentialLender:
    """A folder for the engine's configuration and the socket behind it, while the block runs.

    `logins` give credentials by registry host. `failure` is the error that a login raised, if one
    did: the engine only learns that there are no credentials.
    """

    def __init__(self, logins: Mapping[str, Login]) -> None:
        self._logins = dict(logins)
        self._server: socket.socket | None = None
        self.folder = Path()
        self.failure: OtelembedError | None = None

    def __enter__(self) -> CredentialLender:
        self.folder = _folder()
        try:
            path = str(self.folder / "socket")
            program = self.folder / "bin" / f"docker-credential-{NAME}"
            program.parent.mkdir()
            words = [sys.executable, "-I", "-S", credential_helper.__file__, path]
            program.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
            program.chmod(0o700)
            self._server = socket.socket(socket.AF_UNIX)
            self._server.bind(path)
            self._server.listen(8)
        except OSError as error:
            self.__exit__(None, None, None)
            raise BuildFailed(
                f"The engine can't be lent credentials through {self.folder}: "
                f"{error.strerror or error}.",
                "Set TMPDIR to another folder that you can write to.",
            ) from None
        threading.Thread(target=self._serve, args=(self._server,), daemon=True).start()
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        if self._server is not None:
            with contextlib.suppress(OSError):
                self._server.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits on it
            self._server.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def docker(self, environment: Mapping[str, str]) -> dict[str, str]:
        """The environment in which docker finds these credentials, and all else of the caller's."""
        own = environment.get("DOCKER_CONFIG")
        before = Path(own) if own else Path.home() / ".docker"
        config = self.folder / "docker"
        config.mkdir()
        # Contexts, plug-ins, builders, … A folder that can't be read, as one that `sudo docker` has
        # made, says as little to docker itself.
        with contextlib.suppress(OSError):
            for entry in before.iterdir():
                if entry.name != "config.json":
                    (config / entry.name).symlink_to(entry.resolve())
        self._write(config / "config.json", _read(before / "config.json"))
        return {**environment, **self._path(environment), "DOCKER_CONFIG": str(config)}

    def podman(self, environment: Mapping[str, str]) -> dict[str, str]:
        """The same for podman (containers-auth.json(5) lists where it looks)."""
        places = [Path.home() / ".config/containers/auth.json", Path.home() / ".docker/config.json"]
        if runtime := environment.get("XDG_RUNTIME_DIR"):
            places.insert(0, Path(runtime) / "containers/auth.json")
        if own := environment.get("REGISTRY_AUTH_FILE"):
            places = [Path(own)]
        before = next((place for place in places if place.is_file()), places[0])
        file = self.folder / "auth.json"
        self._write(file, _read(before))
        return {**environment, **self._path(environment), "REGISTRY_AUTH_FILE": str(file)}

    def _path(self, environment: Mapping[str, str]) -> dict[str, str]:
        found = environment.get("PATH", os.defpath)
        return {"PATH": f"{self.folder / 'bin'}{os.pathsep}{found}"}

    def _write(self, file: Path, config: dict[str, Any]) -> None:
        """The caller's configuration, with this helper for our hosts and for its passwords."""
        helpers = dict(config.get("credHelpers") or {})
        for host, entry in (config.get("auths") or {}).items():
            login = _inline(entry)
            if login is not None and host not in helpers:
                self._logins.setdefault(host, _always(login))
        helpers.update(dict.fromkeys(self._logins, NAME))
        file.touch(0o600)
        file.write_text(json.dumps({**config, "auths": {}, "credHelpers": helpers}))

    def _serve(self, server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return  # closed: the block has ended
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(credential_helper.PATIENCE)
            try:
                host = connection.makefile("rb").readline(_LONGEST_HOST).decode().strip()
                login = self._logins.get(host)
                if login is None:
                    return
                found = login()
                answer = {"ServerURL": host, "Username": found.user, "Secret": found.password}
                connection.sendall(json.dumps(answer).encode())
            except OtelembedError as error:
                self.failure = error
            except (OSError, UnicodeDecodeError):
                return  # the helper went away


def _folder() -> Path:
    """A new folder for this user alone, in memory if there is such a place.

    Programs must be allowed to run there, and /tmp may be mounted noexec; a socket's path must be
    short.
    """
    tried: list[Path] = []
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    for parent in (*([runtime] if runtime else ()), tempfile.gettempdir(), str(Path.home())):
        try:
            folder = Path(tempfile.mkdtemp(prefix=".otelembed-", dir=parent))
        except OSError:
            continue
        tried.append(folder.parent)
        probe = folder / "probe"
        probe.touch(0o700)
        if os.access(probe, os.X_OK) and len(os.fsencode(folder)) <= _LONGEST_FOLDER:
            probe.unlink()
            return folder
        shutil.rmtree(folder, ignore_errors=True)
    raise BuildFailed(
        "There is no folder to start the engine's credential helper from "
        f"({', '.join(map(str, tried)) or 'none can be written to'}).",
        "Set TMPDIR to a folder with a short path that isn't mounted noexec.",
    )


def _read(file: Path) -> dict[str, Any]:
    """The caller's configuration; one that can't be read counts as none, as engines have it."""
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _always(login: Basic) -> Login:
    return lambda: login


def _inline(entry: object) -> Basic | None:
    """User and password of an entry under `auths`, where it holds them itself."""
    if not isinstance(entry, dict):
        return None
    if token := entry.get("identitytoken"):
        return Basic("<token>", str(token))  # docker-credential-helpers' word for such a token
    try:
        pair = base64.b64decode(str(entry.get("auth") or ""), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    user, colon, password = pair.partition(":")
    return Basic(user, password.rstrip("\0")) if colon else None
