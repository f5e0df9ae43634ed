"""A client of ARM for tests of the double."""

from __future__ import annotations

import itertools
import time
import uuid
from dataclasses import dataclass
from typing import Any

import httpx

from localazure.client import LocalAzure

GROUP = "shop-rg"
VERSION = "2025-05-01"
_NUMBERS = itertools.count(1)


@dataclass(slots=True)
class Arm:
    """The management endpoint, as one principal."""

    azure: LocalAzure
    http: httpx.Client
    token: str

    @property
    def subscription(self) -> str:
        return f"/subscriptions/{self.azure.subscription}"

    @property
    def group(self) -> str:
        return f"{self.subscription}/resourceGroups/{GROUP}"

    def provider(self, path: str) -> str:
        """The id of a resource of the group: `Microsoft.Web/sites/shop`."""
        return f"{self.group}/providers/{path}"

    def call(
        self, method: str, path: str, body: Any = None, version: str = VERSION, **options: Any
    ) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        if path.startswith("https://"):
            return self.http.request(method, path, headers=headers)
        params = {"api-version": version, **options.pop("params", {})}
        address = self.azure.management + path
        return self.http.request(
            method, address, params=params, json=body, headers=headers, **options
        )

    def get(self, path: str, **options: Any) -> Any:
        """The JSON of a GET."""
        answer = self.call("GET", path, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def site(self, **spec: Any) -> str:
        """A new web app, stopped unless `state` says otherwise; its id."""
        fields = {
            "name": f"site{next(_NUMBERS)}",
            "group": GROUP,
            "plan": "shop-plan",
            "image": "{shopregistry}/shop:1.0",
            "state": "Stopped",
            **spec,
        }
        return str(self.azure.add_site(fields)["id"])

    def slot(self, site: str, name: str = "staging", **spec: Any) -> str:
        """A new slot of a web app; its id."""
        return self.site(name=site.rpartition("/")[2], slot=name, **spec)

    def settings(self, site: str) -> dict[str, str]:
        found = self.call("POST", f"{site}/config/appsettings/list").json()["properties"]
        return dict(found)

    def config(self, site: str) -> dict[str, Any]:
        return dict(self.get(f"{site}/config/web")["properties"])

    def log(self, site: str) -> str:
        answer = self.call("POST", f"{site}/containerlogs")
        return answer.text if answer.status_code == 200 else ""

    def finish(self, answer: httpx.Response) -> httpx.Response:
        """Poll a long-running operation to its end."""
        while answer.status_code == 202:
            time.sleep(0.1)
            answer = self.call("GET", answer.headers["location"])
        return answer

    def other(self, role: str, scope: str) -> Arm:
        """A client of a new principal with one role."""
        client = str(uuid.uuid4())
        self.azure.add_principal(client, "secret", [{"role": role, "scope": scope}])
        return Arm(self.azure, self.http, self.azure.token(client_id=client, secret="secret"))


def error(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of an error response, in either form."""
    body = answer.json()
    code = body["error"]["code"] if "error" in body else body["Code"]
    return answer.status_code, str(code)
