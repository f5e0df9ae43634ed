"""One request to ARM, as handlers get it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from localazure.arm import access, errors
from localazure.arm.operations import Operations
from localazure.double import Double
from localazure.state import Group, Site, State


@dataclass(slots=True)
class Call:
    """`names` are the path's parameters as the client spelt them; `client_id` and `object_id` are
    the caller's; `body` is the parsed JSON body, None without a body.
    """

    double: Double
    request: Request
    operations: Operations
    names: dict[str, str]
    body: Any
    client_id: str
    object_id: str

    @property
    def state(self) -> State:
        """The double's state."""
        return self.double.state

    @property
    def base(self) -> str:
        """Scheme, host and port that the client used, without a trailing slash."""
        return str(self.request.base_url).rstrip("/")

    @property
    def api_version(self) -> str:
        """The api-version of the query; requests without it are refused before."""
        return self.request.query_params["api-version"]

    def object(self) -> dict[str, Any]:
        """The body as a JSON object, or 400 InvalidRequestContent."""
        if not isinstance(self.body, dict):
            raise errors.invalid_content("Expected a JSON object.")
        return self.body

    def properties(self) -> dict[str, Any]:
        """The body's `properties`, empty when absent."""
        found = self.object().get("properties")
        return found if isinstance(found, dict) else {}

    @property
    def subscription(self) -> str:
        """The id of the path's subscription; the double's first one if the path has none."""
        asked = self.names.get("subscription", "").lower()
        known = (each for each in self.state.subscriptions if each.lower() == asked)
        return next(known, self.state.subscription)

    def group(self) -> Group:
        """The path's resource group, or 404."""
        name = self.names["group"]
        found = self.state.groups.get(name.lower())
        if found is None or self.state.subscription_of(name) != self.subscription:
            raise errors.group_not_found(name)
        return found

    def listed(self) -> Callable[[str], bool]:
        """A predicate of group names: in the path's group, or else in the path's subscription.

        404 for an unknown group.
        """
        if "group" in self.names:
            wanted = self.group().name.lower()
            return lambda group: group.lower() == wanted
        return lambda group: self.state.subscription_of(group) == self.subscription

    def site(self) -> Site:
        """The path's slot, or its web app without a slot; or 404."""
        site, slot = self.parent(), self.names.get("slot")
        return site if slot is None else self.slot(site, slot)

    def parent(self) -> Site:
        """The path's web app, also if the path has a slot; or 404."""
        group, name = self.group(), self.names["site"]
        site = self.state.sites.get((group.name.lower(), name.lower()))
        if site is None:
            raise errors.resource_not_found("Microsoft.Web/sites", name, group.name)
        return site

    def slot(self, site: Site, name: str) -> Site:
        """A slot of a web app by its name, `production` being the web app; or 404."""
        if name.lower() == "production":
            return site
        found = next((s for key, s in site.slots.items() if key.lower() == name.lower()), None)
        if found is None:
            names = f"{site.name}/slots/{name}"
            raise errors.resource_not_found("Microsoft.Web/sites", names, site.group)
        return found

    def may(self, action: str, scope: str) -> bool:
        """Whether the caller may do `action` over `scope`."""
        return access.allowed(self.state, self.object_id, access.Demand(action, scope))
