"""Authorization in a registry: the rights of a caller."""

from __future__ import annotations

import fnmatch
import hmac
from collections.abc import Iterable

from localazure.arm.roles import BY_NAME, REGISTRY, Role
from localazure.state import Registry, State

Caller = str | tuple[str, str] | None
"""A principal's object id, a user name with its password, or None for an anonymous caller."""

ALL = frozenset({"pull", "push", "delete", "metadata_read", "metadata_write", "catalog"})
_READ = frozenset({"pull", "metadata_read", "catalog"})

_CLASSIC = {
    "pull": f"{REGISTRY}/pull/read",
    "push": f"{REGISTRY}/push/write",
    "delete": f"{REGISTRY}/artifacts/delete",
    "metadata_read": f"{REGISTRY}/pull/read",
    "metadata_write": f"{REGISTRY}/push/write",
    "catalog": f"{REGISTRY}/pull/read",
}
_ABAC = {
    "pull": f"{REGISTRY}/repositories/content/read",
    "push": f"{REGISTRY}/repositories/content/write",
    "delete": f"{REGISTRY}/repositories/content/delete",
    "metadata_read": f"{REGISTRY}/repositories/metadata/read",
    "metadata_write": f"{REGISTRY}/repositories/metadata/write",
    "catalog": f"{REGISTRY}/catalog/read",
}


def rights(state: State, registry: Registry, caller: Caller) -> frozenset[str]:
    """The rights of `caller` in a registry: a subset of `ALL`.

    Rights are the same in all repositories: conditions on role assignments are not modelled.
    """
    if isinstance(caller, tuple):
        return _of_user(state, registry, *caller)
    if caller is None:
        return _READ - {"catalog"} if _open(registry) else frozenset()
    return _of_roles(_roles(state, registry, caller), registry)


def may_pull(state: State, registry: Registry, repository: str, caller: Caller) -> bool:
    """Whether `caller` may pull from a repository."""
    return "pull" in rights(state, registry, caller)


def known(state: State, registry: Registry, user: str, password: str) -> bool:
    """Whether a user name and its password are valid in a registry."""
    return _is_user(registry, user, password) or _principal(state, user, password) is not None


def _open(registry: Registry) -> bool:
    """Whether anonymous pull is allowed. A public registry allows it unless it has users."""
    return registry.anonymous_pull or not (registry.acr or registry.users)


def _of_user(state: State, registry: Registry, user: str, password: str) -> frozenset[str]:
    if _is_user(registry, user, password):
        return ALL
    principal = _principal(state, user, password) if registry.acr else None
    return rights(state, registry, principal) if principal else frozenset()


def _is_user(registry: Registry, user: str, password: str) -> bool:
    known = dict(registry.users)
    if registry.admin_enabled:
        known[registry.name] = registry.admin_password
    expected = known.get(user)
    return expected is not None and hmac.compare_digest(expected.encode(), password.encode())


def _principal(state: State, user: str, password: str) -> str | None:
    principal = state.principals.get(user.lower())
    if principal and hmac.compare_digest(principal.secret.encode(), password.encode()):
        return principal.object_id
    return None


def _roles(state: State, registry: Registry, principal_id: str) -> Iterable[Role]:
    resource = state.registry_id(registry).lower() + "/"
    for assignment in state.role_assignments:
        above = resource.startswith(assignment.scope.lower().rstrip("/") + "/")
        if above and assignment.principal_id == principal_id:
            yield BY_NAME[assignment.role.lower()]


def _of_roles(roles: Iterable[Role], registry: Registry) -> frozenset[str]:
    abac = registry.role_assignment_mode == "AbacRepositoryPermissions"
    found: set[str] = set()
    for role in roles if registry.acr else ():
        for right, action in (_ABAC if abac else _CLASSIC).items():
            if _acts_on_data(role, action) if abac else role.allows(action):
                found.add(right)
    return frozenset(found)


def _acts_on_data(role: Role, action: str) -> bool:
    return any(fnmatch.fnmatchcase(action.lower(), p.lower()) for p in role.data_actions)
