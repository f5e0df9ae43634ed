"""Sends what was recorded to a running double, with the recorded names made ours."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from tests.contract.recordings import Sample
from tests.localazure.arm_support import Arm

GROUP = "contract-rg"
REGISTRY = "contractregistry"
COMPONENT = "contract-insights"
PLAN = "contract-plan"

_DROPPED = {"t", "c", "s", "h"}
"""Query parameters of polling addresses: signatures that no double could accept."""


@dataclass(slots=True)
class Stage(Arm):
    """A double with `contract-rg` in it, and its owner's tokens."""

    numbers: itertools.count[int] = field(default_factory=itertools.count)

    @property
    def group(self) -> str:
        """The ARM id of the resource group."""
        return f"{self.subscription}/resourceGroups/{GROUP}"

    def site(self, slot: str | None = None, **spec: Any) -> str:
        """A new web app of its own for a case, stopped unless `state` says otherwise; its name."""
        name = f"contract{next(self.numbers)}"
        fields = {
            "name": name,
            "group": GROUP,
            "plan": PLAN,
            "location": "West Europe",
            "state": "Stopped",
            "image": "{contractregistry}/hello-world:latest",
            **spec,
        }
        self.azure.add_site(fields)
        if slot:
            self.azure.add_site({**fields, "slot": slot})
        return name

    def site_id(self, name: str) -> str:
        """The ARM id of a web app."""
        return f"{self.group}/providers/Microsoft.Web/sites/{name}"

    def arm(
        self, method: str, path: str, body: Any = None, version: str = "2023-01-01"
    ) -> httpx.Response:
        """A request to ARM, beside the recorded one."""
        return self.call(method, path, body, version)

    def replay(
        self,
        sample: Sample,
        *,
        body: Callable[[Any], Any] = lambda body: body,
        token: str | None = None,
        **named: str,
    ) -> httpx.Response:
        """The recorded ARM request. `named` gives names by the type before them in the path, such
        as `sites="shop"`; the group, registry, component and plan are ours anyway.
        """
        address = urlsplit(sample.url)
        names = {
            "subscriptions": self.azure.subscription,
            "resourcegroups": GROUP,
            "registries": REGISTRY,
            "components": COMPONENT,
            "serverfarms": PLAN,
            **{kind.lower(): name for kind, name in named.items()},
        }
        segments = address.path.split("/")
        for at in range(1, len(segments)):
            segments[at] = names.get(segments[at - 1].lower(), segments[at])
        query = [(key, value) for key, value in parse_qsl(address.query) if key not in _DROPPED]
        return self.http.request(
            sample.method,
            self.azure.management + "/".join(segments),
            params=dict(query),
            json=body(sample.request_body) if sample.request_body is not None else None,
            headers={
                "authorization": f"Bearer {token or self.token}",
                "accept": "application/json",
            },
        )

    def follow(self, answer: httpx.Response, header: str = "location") -> httpx.Response:
        """Poll a long-running operation once."""
        return self.call("GET", answer.headers[header])

    @property
    def login_server(self) -> str:
        """The registry's host and port."""
        return self.azure.registries[REGISTRY]

    def exchange(self) -> httpx.Response:
        """An ACR refresh token for the owner's ARM token."""
        form = {
            "grant_type": "access_token",
            "service": self.login_server,
            "tenant": self.azure.tenant,
            "access_token": self.token,
        }
        return self.http.post(f"https://{self.login_server}/oauth2/exchange", data=form)

    def access(self, scope: str) -> httpx.Response:
        """An ACR access token for a scope."""
        form = {
            "grant_type": "refresh_token",
            "service": self.login_server,
            "scope": scope,
            "refresh_token": self.exchange().raise_for_status().json()["refresh_token"],
        }
        return self.http.post(f"https://{self.login_server}/oauth2/token", data=form)

    def registry(
        self, method: str, path: str, scope: str | None = None, **options: Any
    ) -> httpx.Response:
        """A request to the registry's data plane; `scope` None goes without a token."""
        headers = dict(options.pop("headers", {}))
        if scope:
            token = self.access(scope).raise_for_status().json()["access_token"]
            headers["authorization"] = f"Bearer {token}"
        address = path if path.startswith("https://") else f"https://{self.login_server}{path}"
        return self.http.request(method, address, headers=headers, **options)


Play = Callable[[Stage, Sample], httpx.Response]


def plain(stage: Stage, sample: Sample) -> httpx.Response:
    """The recorded request as it is."""
    return stage.replay(sample)


def named(**names: str) -> Play:
    """The recorded request with these names, in which `made#` gets a number of its own."""

    def play(stage: Stage, sample: Sample) -> httpx.Response:
        number = str(next(stage.numbers))
        filled: dict[str, Any] = {kind: n.replace("#", number) for kind, n in names.items()}
        return stage.replay(sample, **filled)

    return play


def data_plane(method: str, path: str, scope: str | None = None) -> Play:
    """A request to the registry; `scope` None: without a token."""
    return lambda stage, _: stage.registry(method, path, scope)


@dataclass(frozen=True, slots=True)
class Case:
    """How a recording is replayed. `allowed` names what may differ, `why` says why."""

    sample: str
    play: Play
    allowed: tuple[str, ...] = ()
    why: str = ""

    def __post_init__(self) -> None:
        if bool(self.allowed) != bool(self.why):
            raise ValueError(f"{self.sample}: what may differ needs a reason.")
