"""Routes: from paths to handlers, case-insensitive as in ARM."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from starlette.responses import Response

from localazure.arm.call import Call

Handler = Callable[[Call], Awaitable[Response]]

SUBSCRIPTION = "/subscriptions/{subscription}"
GROUP = SUBSCRIPTION + "/resourceGroups/{group}"


@dataclass(frozen=True, slots=True)
class Route:
    """`template` has `{name}` for one segment and `{name:path}` for any number, also none.

    `checked` False: the handler checks the caller's rights (lists of the readable resources).
    """

    method: str
    template: str
    handler: Handler
    checked: bool = True
    pattern: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        escaped = re.escape(self.template).replace(r"\{", "{").replace(r"\}", "}")
        escaped = re.sub(r"\{(\w+):path\}", r"(?P<\1>.*)", escaped)
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", escaped)
        object.__setattr__(self, "pattern", re.compile(pattern + "/?", re.IGNORECASE))


@dataclass(frozen=True, slots=True)
class Match:
    """The route of a request; `route` None for a known path with another method."""

    route: Route | None
    names: dict[str, str]


def find(routes: Iterable[Route], method: str, path: str) -> Match | None:
    """The first route that fits, None for an unknown path. HEAD does not match GET."""
    known: Match | None = None
    for route in routes:
        match = route.pattern.fullmatch(path)
        if match is None:
            continue
        if route.method == method:
            return Match(route, match.groupdict())
        known = known or Match(None, match.groupdict())
    return known
