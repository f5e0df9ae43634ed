"""Image references in a site's linuxFxVersion."""

from __future__ import annotations

from dataclasses import dataclass

DOCKER_HUB = "docker.io"


@dataclass(frozen=True, slots=True)
class Reference:
    """`registry` is a host with its port; `version` is the digest if there is one, else the tag."""

    registry: str
    repository: str
    version: str

    @staticmethod
    def parse(text: str) -> Reference:
        """Parse a reference as Docker does: no host means Docker Hub, no tag means `latest`."""
        name, _, digest = text.partition("@")
        host, slash, rest = name.partition("/")
        if not slash or not ("." in host or ":" in host or host == "localhost"):
            host, rest = DOCKER_HUB, name
        repository, colon, tag = rest.rpartition(":")
        if not colon or "/" in tag:
            repository, tag = rest, ""
        if host == DOCKER_HUB and "/" not in repository:
            repository = f"library/{repository}"
        return Reference(host, repository, digest or tag or "latest")
