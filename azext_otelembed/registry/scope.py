"""Token scopes: `repository:<name>:pull,push` (Docker's token specification)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scope:
    """Actions on one resource. `str()` formats it for a token server."""

    name: str
    actions: frozenset[str]
    kind: str = "repository"

    @classmethod
    def parse(cls, text: str) -> Scope | None:
        """One scope of a challenge; None for invalid text. Names may hold colons."""
        kind, _, rest = text.partition(":")
        name, colon, actions = rest.rpartition(":")
        if not (kind and colon and name and actions):
            return None
        return cls(name, frozenset(actions.split(",")), kind)

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}:{','.join(sorted(self.actions))}"


def pull(repository: str) -> Scope:
    """The scope for reading a repository."""
    return Scope(repository, frozenset({"pull"}))


def push(repository: str) -> Scope:
    """The scope for reading and writing a repository (no registry grants push alone)."""
    return Scope(repository, frozenset({"pull", "push"}))


def delete_right(repository: str) -> Scope:
    """The scope for deleting manifests of a repository, as ACR challenges for it."""
    return Scope(repository, frozenset({"delete"}))


def metadata(repository: str) -> Scope:
    """The scope for ACR's own lists of a repository's tags and manifests."""
    return Scope(repository, frozenset({"metadata_read"}))


def catalog() -> Scope:
    """The scope for the list of repositories."""
    return Scope("catalog", frozenset({"*"}), "registry")


def merged(scopes: Iterable[Scope]) -> tuple[Scope, ...]:
    """The same rights with one scope for each resource, in a stable order."""
    actions: dict[tuple[str, str], frozenset[str]] = {}
    for scope in scopes:
        key = (scope.kind, scope.name)
        actions[key] = actions.get(key, frozenset()) | scope.actions
    return tuple(Scope(name, actions[kind, name], kind) for kind, name in sorted(actions))


def covers(held: Iterable[Scope], needed: Iterable[Scope]) -> bool:
    """Whether `held` allows everything in `needed`."""
    held_actions = {(scope.kind, scope.name): scope.actions for scope in merged(held)}
    return all(
        scope.actions <= held_actions.get((scope.kind, scope.name), frozenset()) for scope in needed
    )


def describe(scopes: Iterable[Scope]) -> str:
    """The scopes in words, such as "push to 'a/b' and pull of 'c'"."""
    words = []
    for scope in scopes:
        verb = "push to" if "push" in scope.actions else f"{' and '.join(sorted(scope.actions))} of"
        words.append(f"{verb} '{scope.name}'")
    return " and ".join(words)
