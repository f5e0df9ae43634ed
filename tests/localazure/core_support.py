"""A client of a registry for tests of the double: plain HTTP, one request a call."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import jwt

from localazure.client import LocalAzure

SECRET = "not-a-secret"
ROLE, ABAC = "{shopregistry.id}", "{abacregistry.id}"
PRINCIPALS: dict[str, tuple[str, list[dict[str, str]]]] = {
    "pusher": ("c04e0000-0000-4000-8000-000000000001", [{"role": "AcrPush", "scope": ROLE}]),
    "puller": ("c04e0000-0000-4000-8000-000000000002", [{"role": "AcrPull", "scope": ROLE}]),
    "unassigned": ("c04e0000-0000-4000-8000-000000000003", []),
    "reader": (
        "c04e0000-0000-4000-8000-000000000004",
        [{"role": "Container Registry Repository Reader", "scope": ABAC}],
    ),
    "classic": ("c04e0000-0000-4000-8000-000000000005", [{"role": "AcrPull", "scope": ABAC}]),
}
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
OCI = "application/vnd.oci.image.manifest.v1+json"


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def claims(token: str) -> dict[str, Any]:
    """The claims of a JWT, whose signature isn't checked."""
    return dict(jwt.decode(token, options={"verify_signature": False}))


def aad_token(
    azure: LocalAzure, who: str, audience: str = "https://management.core.windows.net/"
) -> str:
    """An Entra token of one of `PRINCIPALS`."""
    return azure.token(audience, PRINCIPALS[who][0], SECRET)


@dataclass
class Shop:
    """One repository of a registry. Each token is requested once."""

    azure: LocalAzure
    http: httpx.Client
    login: str
    name: str
    who: str | None = None
    """One of `PRINCIPALS`; None for the owner of the subscription."""
    tokens: dict[str, str] = field(default_factory=dict)

    def named(self, name: str) -> Shop:
        return replace(self, name=name, tokens={})

    def of(self, who: str) -> Shop:
        return replace(self, who=who, tokens={})

    def at(self, registry: str) -> Shop:
        return replace(self, login=self.azure.registries[registry], tokens={})

    def arm_token(self) -> str:
        return aad_token(self.azure, self.who) if self.who else self.azure.token()

    def exchange(self, access_token: str | None = None) -> httpx.Response:
        form = {
            "grant_type": "access_token",
            "service": self.login,
            "access_token": access_token or self.arm_token(),
        }
        return self.http.post(f"https://{self.login}/oauth2/exchange", data=form)

    def token(self, *scopes: str) -> str:
        """An access token for these scopes, through the exchange."""
        key = " ".join(scopes)
        if key not in self.tokens:
            refresh = self.exchange().raise_for_status().json()["refresh_token"]
            self.tokens[key] = self.access_token(refresh, *scopes)
        return self.tokens[key]

    def access_token(self, refresh: str, *scopes: str) -> str:
        """A new access token for these scopes."""
        form = {
            "grant_type": "refresh_token",
            "service": self.login,
            "refresh_token": refresh,
            "scope": list(scopes),
        }
        answer = self.http.post(f"https://{self.login}/oauth2/token", data=form)
        return str(answer.raise_for_status().json()["access_token"])

    def call(
        self, method: str, path: str, actions: str = "pull,push", **options: Any
    ) -> httpx.Response:
        """One request with a token for these actions on this repository.

        `path` is below `/v2/{name}`, or absolute, or a whole address.
        """
        scopes = [f"repository:{self.name}:{actions}", *options.pop("scopes", [])]
        headers = {"authorization": f"Bearer {self.token(*scopes)}", **options.pop("headers", {})}
        url = path if path.startswith("https:") else f"https://{self.login}{self._absolute(path)}"
        return self.http.request(method, url, headers=headers, **options)

    def upload(self, data: bytes) -> str:
        """Upload a blob in two requests; returns its digest."""
        begun = self.call("POST", "/blobs/uploads/")
        url = f"{begun.headers['location']}&digest={sha256(data)}"
        answer = self.call("PUT", url, content=data)
        assert answer.status_code == 201, answer.text
        return sha256(data)

    def image(self, *layers: bytes, media_type: str = DOCKER, **extra: Any) -> bytes:
        """Upload a config and layers; returns their manifest."""
        config = json.dumps({"architecture": "amd64", "os": "linux"}).encode()
        kind = "application/vnd.docker.container.image.v1+json"
        return json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": media_type,
                "config": self.descriptor(config, kind),
                "layers": [self.descriptor(layer, "application/octet-stream") for layer in layers],
                **extra,
            }
        ).encode()

    def descriptor(self, data: bytes, media_type: str) -> dict[str, Any]:
        return {"mediaType": media_type, "size": len(data), "digest": self.upload(data)}

    def put(self, reference: str, manifest: bytes, media_type: str = DOCKER) -> httpx.Response:
        headers = {"content-type": media_type}
        return self.call("PUT", f"/manifests/{reference}", headers=headers, content=manifest)

    def _absolute(self, path: str) -> str:
        below = not path.startswith(("/v2/", "/acr/"))
        return f"/v2/{self.name}{path}" if below else path
