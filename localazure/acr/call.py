"""One request to a registry, as its handlers get it."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from localazure.acr.auth import Auth
from localazure.acr.registry_responses import Refused, RegistryResponses
from localazure.acr.store import Repository, Store
from localazure.double import Double
from localazure.state import Registry


@dataclass(frozen=True, slots=True)
class Call:
    """`name` is the repository; `reference` the tag, digest or upload that the path ends with."""

    double: Double
    registry: Registry
    request: Request
    responses: RegistryResponses
    auth: Auth
    name: str
    reference: str

    @property
    def login(self) -> str:
        """The registry's login server."""
        return self.registry.login_server

    @property
    def store(self) -> Store:
        """The content of all registries."""
        return self.double.store

    def repository(self) -> Repository | None:
        """The path's repository; None if it holds no manifest and no blob."""
        return self.store.repository(self.login, self.name)

    def filled(self) -> Repository:
        """The path's repository with its manifests; 404 without any."""
        repository = self.repository()
        if repository is None or not repository.manifests:
            text = f'repository "{self.name}" is not found'
            raise Refused(self.responses.error(404, "NAME_UNKNOWN", text))
        return repository

    def link(self, path: str) -> str:
        """The value of Location for a path: relative in ACR, with the host in other registries."""
        return path if self.registry.acr else f"https://{self.login}{path}"
