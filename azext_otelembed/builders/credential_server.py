"""Registry credentials for a container engine, through a Unix socket and never through a file.

`docker login` writes passwords to a file in plain text. Instead the engine gets a configuration
with a credential helper, a small program that asks this process through a Unix socket in a folder
that only this user can open. The user's own configuration stays in effect: its entries are linked
or copied, and the passwords in it are served in the same way.
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
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from azext_otelembed.builders import credential_helper
from azext_otelembed.errors import BuildFailed, OtelembedError
from azext_otelembed.registry.auth import Basic
from azext_otelembed.registry.response_json import parse_object

NAME = "otelembed"
_MAX_HOST = 4096
_MAX_FOLDER = 90  # bytes; a socket's path may have 103 on macOS, 107 on Linux

Login = Callable[[], Basic]
"""Returns user and password on request; raises an `OtelembedError`."""


class CredentialServer:
    """The engine's configuration folder and the socket, inside a `with` block.

    `logins` are the credentials by registry host. `failure` is the error that a login raised: the
    engine itself only gets the answer that there are no credentials.
    """

    def __init__(self, logins: Mapping[str, Login]) -> None:
        self._logins = dict(logins)
        self._server: socket.socket | None = None
        self.folder = Path()
        self.failure: OtelembedError | None = None

    def __enter__(self) -> CredentialServer:
        self.folder = _folder()
        try:
            path = str(self.folder / "socket")
            program = self.folder / "bin" / f"docker-credential-{NAME}"
            program.parent.mkdir()
            command = [sys.executable, "-I", "-S", credential_helper.__file__, path]
            program.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
            program.chmod(0o700)
            self._server = socket.socket(socket.AF_UNIX)
            self._server.bind(path)
            self._server.listen(8)
        except OSError as error:
            self.__exit__()
            raise BuildFailed(
                f"The credentials of the engine can't be served from {self.folder}: "
                f"{error.strerror or error}.",
                "Set TMPDIR to another folder that you can write to.",
            ) from None
        threading.Thread(target=self._serve, args=(self._server,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            with contextlib.suppress(OSError):
                self._server.shutdown(socket.SHUT_RDWR)  # ends accept() in the thread
            self._server.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def docker_environment(self, environment: Mapping[str, str]) -> dict[str, str]:
        """The environment in which docker uses these credentials and the user's configuration."""
        configured = environment.get("DOCKER_CONFIG")
        original = Path(configured) if configured else Path.home() / ".docker"
        config = self.folder / "docker"
        config.mkdir()
        # Contexts, plug-ins, builders, … docker itself ignores a folder that it can't read, such as
        # one that `sudo docker` has created.
        with contextlib.suppress(OSError):
            for entry in original.iterdir():
                if entry.name != "config.json":
                    (config / entry.name).symlink_to(entry.resolve())
        self._write(config / "config.json", _read(original / "config.json"))
        return {**environment, **self._path(environment), "DOCKER_CONFIG": str(config)}

    def podman_environment(self, environment: Mapping[str, str]) -> dict[str, str]:
        """The same for podman (containers-auth.json(5) lists where it looks)."""
        candidates = [
            Path.home() / ".config/containers/auth.json",
            Path.home() / ".docker/config.json",
        ]
        if runtime := environment.get("XDG_RUNTIME_DIR"):
            candidates.insert(0, Path(runtime) / "containers/auth.json")
        if configured := environment.get("REGISTRY_AUTH_FILE"):
            candidates = [Path(configured)]
        original = next((each for each in candidates if each.is_file()), candidates[0])
        file = self.folder / "auth.json"
        self._write(file, _read(original))
        return {**environment, **self._path(environment), "REGISTRY_AUTH_FILE": str(file)}

    def _path(self, environment: Mapping[str, str]) -> dict[str, str]:
        found = environment.get("PATH", os.defpath)
        return {"PATH": f"{self.folder / 'bin'}{os.pathsep}{found}"}

    def _write(self, file: Path, config: dict[str, Any]) -> None:
        """The user's configuration, with this helper for `logins` and for the passwords in it."""
        helpers = dict(config.get("credHelpers") or {})
        for host, entry in (config.get("auths") or {}).items():
            login = _stored_login(entry)
            if login is not None and host not in helpers:
                self._logins.setdefault(host, partial(replace, login))
        helpers.update(dict.fromkeys(self._logins, NAME))
        file.touch(0o600)
        file.write_text(json.dumps({**config, "auths": {}, "credHelpers": helpers}))

    def _serve(self, server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return  # closed by __exit__
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(credential_helper.TIMEOUT)
            try:
                host = connection.makefile("rb").readline(_MAX_HOST).decode().strip()
                login = self._logins.get(host)
                if login is None:
                    return
                found = login()
                answer = {"ServerURL": host, "Username": found.user, "Secret": found.password}
                connection.sendall(json.dumps(answer).encode())
            except OtelembedError as error:
                self.failure = error
            except (OSError, UnicodeDecodeError):
                return  # the helper has ended


def _folder() -> Path:
    """A new folder for this user only, in memory where possible.

    Programs must be allowed to run there, and /tmp may be mounted noexec; a socket's path must be
    short.
    """
    tried: list[Path] = []
    parents = (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), str(Path.home()))
    for parent in filter(None, parents):
        try:
            folder = Path(tempfile.mkdtemp(prefix=".otelembed-", dir=parent))
        except OSError:
            continue
        tried.append(folder.parent)
        probe = folder / "probe"
        probe.touch(0o700)
        if os.access(probe, os.X_OK) and len(os.fsencode(folder)) <= _MAX_FOLDER:
            probe.unlink()
            return folder
        shutil.rmtree(folder, ignore_errors=True)
    raise BuildFailed(
        "There is no folder to start the engine's credential helper from "
        f"({', '.join(map(str, tried)) or 'none can be written to'}).",
        "Set TMPDIR to a folder with a short path that isn't mounted noexec.",
    )


def _read(file: Path) -> dict[str, Any]:
    """The user's configuration; empty where it can't be read, as engines do."""
    try:
        return parse_object(file.read_bytes()) or {}
    except OSError:
        return {}


def _stored_login(entry: object) -> Basic | None:
    """User and password of an entry under `auths`, if it contains them."""
    if not isinstance(entry, dict):
        return None
    if token := entry.get("identitytoken"):
        # The user name that docker-credential-helpers define for a token.
        return Basic("<token>", str(token))
    try:
        pair = base64.b64decode(str(entry.get("auth") or ""), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    user, colon, password = pair.partition(":")
    return Basic(user, password.rstrip("\0")) if colon else None
