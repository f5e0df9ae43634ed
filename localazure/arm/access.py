"""Authorization: the action and scope that a request requires, and the rights of principals."""

from __future__ import annotations

from dataclasses import dataclass

from localazure.arm.roles import BY_NAME
from localazure.state import State

VERBS = {"GET": "read", "HEAD": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"}


@dataclass(frozen=True, slots=True)
class Demand:
    """The required right: an action such as Microsoft.Web/sites/write, over a scope (an id)."""

    action: str
    scope: str


def demand(method: str, path: str) -> Demand:
    """The action and scope of an ARM request, by ARM's own rule.

    Types and names alternate after the provider. A single segment after the last pair is a
    collection (GET) or an action (POST): `…/sites/a/config/appsettings/list` is
    Microsoft.Web/sites/config/list/action over `…/sites/a/config/appsettings`.
    """
    parent, marker, tail = _split_provider(path)
    if not marker:
        return _outside_providers(method, path)
    namespace, *segments = tail.split("/")
    pairs, rest = len(segments) // 2, len(segments) % 2
    types = segments[0 : 2 * pairs : 2]
    scope = "/".join([f"{parent}/providers/{namespace}", *segments[: 2 * pairs]])
    last = [segments[-1]] if rest else []
    if method == "POST":
        return Demand("/".join([namespace, *types, *last, "action"]), scope)
    return Demand("/".join([namespace, *types, *last, VERBS[method]]), scope)


def _split_provider(path: str) -> tuple[str, str, str]:
    """Split the path at its last `/providers/`: extension resources are below other resources."""
    at = path.lower().rfind("/providers/")
    if at < 0:
        return path, "", ""
    marker = path[at : at + len("/providers/")]
    return path[:at], marker, path[at + len(marker) :].strip("/")


def _outside_providers(method: str, path: str) -> Demand:
    segments = path.strip("/").split("/")
    below = "subscriptions"
    if len(segments) >= 4 and segments[2].lower() == "resourcegroups":
        below = "subscriptions/resourceGroups"
    verb = VERBS.get(method, "action")
    scope = "/" + "/".join(segments[:4] if "Groups" in below else segments[:2])
    return Demand(f"Microsoft.Resources/{below}/{verb}", scope)


def within(scope: str, assigned: str) -> bool:
    """Whether `assigned` is `scope` or above it."""
    low, high = scope.lower().rstrip("/"), assigned.lower().rstrip("/")
    return low == high or low.startswith(high + "/")


def roles_of(state: State, principal: str, scope: str) -> set[str]:
    """Names (lower case) of a principal's roles at a scope, with the inherited ones."""
    return {
        assignment.role.lower()
        for assignment in state.role_assignments
        if assignment.principal_id == principal and within(scope, assignment.scope)
    }


def allowed(state: State, principal: str, need: Demand) -> bool:
    """Whether any of the principal's roles grants the action over the scope."""
    held = roles_of(state, principal, need.scope)
    return any(BY_NAME[name].allows(need.action) for name in held if name in BY_NAME)


def has_any_role(state: State, principal: str, subscription: str) -> bool:
    """Whether the principal has a role anywhere in a subscription: then it can see it."""
    scope = f"/subscriptions/{subscription}"
    return any(
        each.principal_id == principal and (within(each.scope, scope) or within(scope, each.scope))
        for each in state.role_assignments
    )
