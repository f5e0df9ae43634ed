"""What tests of builders do again and again."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from localazure.az import Az
from localazure.client import ROOT
from tests.e2e.support import REGISTRY, Answer, Cloud, Screen, Site
from tests.engine import Engine

TOKEN_USER = "00000000-0000-0000-0000-000000000000"
HUB_COLLECTOR = "otel/opentelemetry-collector-contrib:0.150.0"
_NUMBERS = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Builds:
    """az, the double and the engine, for one test. `folder` is the test's own."""

    cloud: Cloud
    engine: Engine
    folder: Path

    @property
    def host(self) -> str:
        """The registry's login server."""
        return self.cloud.local.registries[REGISTRY]

    @property
    def collector(self) -> str:
        """The collector image, by a name under which an engine here can pull it."""
        return f"{self.cloud.local.registries['hub']}/{HUB_COLLECTOR}"

    def environment(self, **more: str) -> dict[str, str]:
        """What az runs with besides its own: the engine, and an empty home folder."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        return {**self.engine.environment, "HOME": str(home), **more}

    def otelembed(
        self, *arguments: str, az: Az | None = None, env: dict[str, str] | None = None
    ) -> Answer:
        """Run `az otelembed …` with the engine at hand."""
        return self.cloud.otelembed(*arguments, az=az, env=env or self.environment())

    def start_build(self, image: str, *arguments: str) -> tuple[subprocess.Popen[str], IO[str]]:
        """Start `az otelembed build` with --source; the process and its stderr."""
        command = ("build", "--image", image, "--source", str(self.source), *arguments)
        process = self.cloud.az.popen("otelembed", *command, env=self.environment())
        assert process.stderr is not None
        return process, process.stderr

    def on_terminal(self, *arguments: str) -> Screen:
        """Run `az otelembed …` the same way, as a person does."""
        return self.cloud.on_terminal("otelembed", *arguments, env=self.environment())

    def build(self, *arguments: str, image: str = "", **options: Any) -> Answer:
        """`az otelembed build` with --source, as `image` or under a new name."""
        command = ("build", "--image", image or self.new_image(), "--source", str(self.source))
        return self.otelembed(*command, *arguments, **options)

    def new_image(self) -> str:
        """A new name for an app image."""
        return f"{self.host}/{self.repository()}:1"

    def deploy(self, site: Site, *arguments: str, **options: Any) -> Answer:
        """`az otelembed deploy` of a site."""
        return self.otelembed("deploy", *site.arguments, *arguments, **options)

    @property
    def source(self) -> Path:
        """The source folder."""
        return self.folder / "source"

    def write(self, *lines: str, name: str = "Dockerfile", **files: str) -> Path:
        """Write a Dockerfile, and more files, to the source folder."""
        self.source.mkdir(exist_ok=True)
        for file, content in {name: "\n".join(lines) + "\n", **files}.items():
            (self.source / file).write_text(content)
        return self.source

    def repository(self) -> str:
        """A new name for an app image's repository."""
        return f"built/app-{next(_NUMBERS)}"

    def base(self, layout: Path = ROOT / ".local" / "images" / "app") -> str:
        """The sample app (or another image) in the private registry, under a new name."""
        repository = f"bases/base-{next(_NUMBERS)}"
        self.cloud.push(repository, "1.0", layout)
        return f"{self.host}/{repository}:1.0"

    def log_in(self) -> None:
        """Log the engine itself in to the registry, as `az acr login` does."""
        with self.cloud.local.http() as http:
            self.engine.login(self.host, TOKEN_USER, self._refresh_token(http))

    def tags(self, repository: str) -> list[str]:
        """What a repository holds; [] for one that isn't there."""
        with self.cloud.local.http() as http:
            form = {"service": self.host, "scope": f"repository:{repository}:pull"}
            form |= {"grant_type": "refresh_token", "refresh_token": self._refresh_token(http)}
            token = http.post(f"https://{self.host}/oauth2/token", data=form).json()
            answer = http.get(
                f"https://{self.host}/v2/{repository}/tags/list",
                headers={"authorization": f"Bearer {token['access_token']}"},
            )
        return list(answer.json().get("tags") or []) if answer.status_code == 200 else []

    def path_without(self, *programs: str) -> str:
        """A PATH on which everything is, except some programs."""
        folder = self.folder / "bin"
        folder.mkdir()
        for place in ("/usr/sbin", "/usr/bin", "/bin", "/sbin", "/usr/local/bin"):
            for file in Path(place).glob("*"):
                link = folder / file.name
                if file.name not in programs and not link.is_symlink():
                    link.symlink_to(file)
        return str(folder)

    def spy(self) -> tuple[Path, str]:
        """A docker that notes how it was called, then does it: its notes, and a PATH with it.

        Notes are its arguments, its environment, and all files of its configuration's folder.
        """
        notes, folder = self.folder / "notes", self.folder / "spy"
        folder.mkdir()
        program = folder / "docker"
        program.write_text(
            f'#!/bin/sh\n{{ echo "ARGUMENTS $*"; env; [ -z "$DOCKER_CONFIG" ] || '
            f'find "$DOCKER_CONFIG/.." -type f -exec cat {{}} +; }} >>"{notes}"\n'
            f'exec "{self.engine.client}" "$@"\n'
        )
        program.chmod(0o755)
        path = shutil.which("sh") or "/bin/sh"
        return notes, f"{folder}:{Path(path).parent}:/usr/local/bin:/usr/bin:/bin"

    def _refresh_token(self, http: Any) -> str:
        local = self.cloud.local
        form = {
            "grant_type": "access_token",
            "service": self.host,
            "tenant": local.tenant,
            "access_token": local.token(),
        }
        answer = http.post(f"https://{self.host}/oauth2/exchange", data=form)
        return str(answer.raise_for_status().json()["refresh_token"])
