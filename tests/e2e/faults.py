"""Faults of Azure and of registries, and how a deploy ends that meets one: for test_faults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

HTML = "<html><body><h1>502 Bad Gateway</h1>proxy.example</body></html>"
BUSY = "Cannot modify this site because another operation is in progress."
CONFLICT = {
    "Code": "Conflict",
    "Message": BUSY,
    "Target": None,
    "Details": [{"Message": BUSY}, {"Code": "Conflict"}],
    "Innererror": None,
}
"""How Microsoft.Web spells an error: no `error` around it, and capitals."""
ALWAYS = 0
AGAIN = "same command"
BOUND = 40.0
"""Seconds that a command may take to give up, on a busy machine (on an idle one, 13 at most)."""

WHERE: Mapping[str, Mapping[str, str]] = {
    "site": {"service": "arm", "method": "GET", "path": "/sites/{name}$"},
    "configuration": {"service": "arm", "method": "GET", "path": "/sites/{name}/config/web$"},
    "settings": {"service": "arm", "method": "POST", "path": "/{name}/config/appsettings/list$"},
    "components": {
        "service": "arm",
        "method": "GET",
        "path": "/{group}/providers/microsoft.insights/components$",
    },
    "put settings": {"service": "arm", "method": "PUT", "path": "/{name}/config/appsettings$"},
    "patch": {"service": "arm", "method": "PATCH", "path": "/sites/{name}/config/web$"},
    "log": {"service": "arm", "method": "POST", "path": "/sites/{name}/containerlogs$"},
    "instances": {"service": "arm", "method": "GET", "path": "/sites/{name}/instances$"},
    "exchange": {"service": "acr", "host": "{host}", "path": "^/oauth2/exchange$"},
    "token": {"service": "acr", "host": "{host}", "path": "^/oauth2/token$"},
    "manifest": {"service": "acr", "method": "GET", "path": "/v2/{repository}/manifests/1.0$"},
    "blob": {"service": "acr", "method": "GET", "path": "/v2/{repository}/blobs/sha256"},
    "storage": {"service": "blob", "path": "^/{storage}-lrs/"},
    "mount": {
        "service": "acr",
        "method": "POST",
        "path": "/v2/{repository}/blobs/uploads/$",
        "query": "mount=",
    },
    "upload": {"service": "acr", "method": "PUT", "path": "/v2/{repository}/blobs/uploads/"},
    "put manifest": {"service": "acr", "method": "PUT", "path": "/v2/{repository}/manifests/"},
    "import": {"service": "arm", "method": "POST", "path": "/registries/{registry}/importImage$"},
    "import's end": {"service": "arm", "method": "GET", "path": "/operationResults/registries-"},
    "collector's layers": {"service": "blob", "path": "^/{storage}-lrs/"},
    "collector's upload": {
        "service": "acr",
        "host": "{host}",
        "method": "PUT",
        "path": "/v2/otelembed/collector/blobs/uploads/",
    },
    "collector's manifest": {
        "service": "acr",
        "host": "{host}",
        "method": "PUT",
        "path": "/v2/otelembed/collector/manifests/",
    },
}


@dataclass(frozen=True, slots=True)
class Row:
    """A fault, and how a deploy ends that meets it.

    `status` 0: it ends well all the same. `says` is in its message, and never `hides`.
    """

    where: str
    what: str
    fault: Mapping[str, Any]
    status: int = 0
    says: tuple[str, ...] = ()
    hides: str = ""
    seen: tuple[tuple[str, str], ...] = ()
    """What the result's evidence says."""
    running: bool = False
    """Whether the site runs, and is seen to come up."""

    @property
    def title(self) -> str:
        """`where: what`."""
        return f"{self.where}: {self.what}" + (", running" if self.running else "")


def passing(where: str, *statuses: int) -> Iterator[Row]:
    """Faults that pass by themselves: the call is made again."""
    for status in statuses or (500, 502, 503, 504):
        yield Row(where, f"HTTP {status} once", {"status": status})
    yield Row(where, "429 with a short Retry-After", {"status": 429, "retry_after": 1})
    yield Row(where, "a connection cut before the call is handled", {"reset": True})
    yield Row(where, "a connection cut after the call was handled", {"reset_after": True})
    yield Row(where, "a body cut short", {"truncate": 9})


def lasting(where: str, subject: str) -> Iterator[Row]:
    """Answers of ARM that no repeating helps against; `subject` names what was asked."""

    def row(what: str, ends: int, *says: str, hides: str = "", **fault: Any) -> Row:
        return Row(where, what, {"times": ALWAYS, **fault}, ends, (subject, *says), hides)

    yield row("401", 1, "doesn't accept the sign-in", "`az login`", status=401)
    yield row("403", 1, "not allowed", "AuthorizationFailed", status=403)
    yield row("404", 3, "was not found", status=404)
    yield row("409", 1, BUSY, status=409, body=CONFLICT)
    yield row("429 with a long Retry-After", 1, "324 seconds", status=429, retry_after=324)
    for status in (500, 503):
        yield row(f"HTTP {status} always", 1, f"HTTP {status}", AGAIN, status=status)
    yield row("an HTML page always", 1, "HTTP 502", hides="<html", status=502, body=HTML)
    yield row("connections cut always", 1, "no answer", AGAIN, reset=True)
    yield row("bodies cut always", 1, "cut short", AGAIN, truncate=9)


TELLING = ("403", "404", "429 with a long Retry-After", "HTTP 500 always", "connections cut always")
"""What differs from one call to the next."""

READS = (
    *passing("settings"),
    *lasting("settings", "App settings of Web App '{name}'"),
    *passing("site", 503),
    *lasting("site", "Web App '{name}'"),
    *(
        row
        for row in (
            *lasting("configuration", "Configuration of Web App '{name}'"),
            *lasting("components", "components of resource group '{group}'"),
        )
        if row.what in TELLING
    ),
)


def undone(row: Row) -> Row:
    """The row for a write: what was written before it is taken back, and the message says so."""
    state = "State: Web App '{name}' is as it was before."
    if row.what == "bodies cut always":  # taking back is cut as well
        state = "State: Web App '{name}' may have its old or its new image"
    return replace(row, says=(*row.says, state))


def refused(where: str, subject: str, *, missing: int = 1) -> Iterator[Row]:
    """Answers of a registry that no repeating helps against; `missing` is how a 404 ends."""

    def row(what: str, ends: int, *says: str, hides: str = "", **fault: Any) -> Row:
        return Row(where, what, {"times": ALWAYS, **fault}, ends, ("{host}", *says), hides)

    for status in (401, 403):
        yield row(f"{status}", 1, "egistry '{host}'", "role on the registry", status=status)
    yield row("404", missing, status=404)
    yield row("429 with a long Retry-After", 1, "324 seconds", status=429, retry_after=324)
    for status in (500, 503):
        yield row(f"HTTP {status} always", 1, f"HTTP {status}", subject, AGAIN, status=status)
    yield row("an HTML page always", 1, "HTTP 502", subject, hides="<html", status=502, body=HTML)
    yield row("connections cut always", 1, "can't be reached", AGAIN, reset=True)


def conflict(where: str, subject: str) -> Row:
    """A write that a lock, or somebody else's write, is in the way of."""
    says = ("Registry '{host}'", subject, "HTTP 409", "may be locked", "az acr repository show")
    return Row(where, "409", {"status": 409, "times": ALWAYS}, 1, says)


def cut(where: str, subject: str) -> Row:
    """Bodies that always end too early."""
    says = ("egistry '{host}'", subject, "can't be reached", AGAIN)
    return Row(where, "bodies cut always", {"truncate": 9, "times": ALWAYS}, 1, says)


REGISTRY_READS = (
    *passing("manifest"),
    *(row for where in ("exchange", "token", "storage") for row in passing(where, 503)),
    *refused("exchange", "pull of '{repository}'"),
    *refused("token", "pull of '{repository}'"),
    *refused("manifest", "'{repository}:1.0'", missing=3),
    *refused("blob", "blob sha256:", missing=3),
    *refused("storage", "blob sha256:", missing=3),
    cut("manifest", "'{repository}:1.0'"),
    cut("storage", "blob sha256:"),
    Row(
        "token",
        "an answer that isn't JSON",
        {"status": 200, "body": HTML, "times": ALWAYS},
        1,
        ("token server of registry '{host}'", "JSON"),
        "<html",
    ),
    Row(
        "manifest",
        "a page in its place",
        {"status": 200, "body": HTML, "times": ALWAYS},
        1,
        ("{host}/{repository}:1.0", "JSON"),
        "<html",
    ),
    Row(
        "storage",
        "another blob in its place",
        {"status": 200, "body": "{{}}", "times": ALWAYS},
        1,
        ("Registry '{host}'", "doesn't match its digest"),
    ),
)

REGISTRY_WRITES = (
    *(
        row
        for where in ("mount", "upload", "put manifest")
        for row in passing(where, 503)
        if row.what != "a body cut short"  # they have none
    ),
    *(row for row in refused("mount", "blob sha256:", missing=3) if row.what in TELLING),
    *(row for row in refused("upload", "blob sha256:") if row.what in TELLING),
    *refused("put manifest", "'{repository}:1.0-otelembed-", missing=3),
    conflict("upload", "blob sha256:"),
    conflict("put manifest", "'{repository}:1.0-otelembed-"),
)

WRITES = (
    *passing("put settings"),
    *(undone(row) for row in lasting("put settings", "App settings of Web App '{name}'")),
    *passing("patch"),
    *(undone(row) for row in lasting("patch", "Configuration of Web App '{name}'")),
)

VERIFIED = tuple(
    replace(row, running=True)
    for row in WRITES
    if row.what in ("409", "bodies cut always", "a connection cut after the call was handled")
)
"""Rows that are tried with a container that runs, too."""

VERIFYING = (
    *(
        Row(
            "log",
            f"HTTP {status}",
            {"status": status, "times": ALWAYS},
            seen=(("log", "not seen"),),
            running=True,
        )
        for status in (403, 404, 500)
    ),
    *(
        Row(
            "instances",
            f"HTTP {status}",
            {"status": status, "times": ALWAYS},
            seen=(("instances", "not seen"), ("log", "ready")),
            running=True,
        )
        for status in (403, 404, 500)
    ),
)

REPEATED: Mapping[str, frozenset[str]] = {
    # One answer of a kind, where another call shows the rest.
    **dict.fromkeys(("site", "configuration", "components"), frozenset({"403", "404"})),
    "patch": frozenset({"409", "404", "connections cut always", "bodies cut always"}),
    "exchange": frozenset({"401", "connections cut always"}),
    "token": frozenset({"403", "HTTP 500 always", "an answer that isn't JSON"}),
    "blob": frozenset({"404", "connections cut always"}),
    "storage": frozenset({"403", "another blob in its place", "bodies cut always"}),
    "mount": frozenset({"403", "HTTP 500 always"}),
    "upload": frozenset({"403", "HTTP 500 always", "409"}),
    "log": frozenset({"HTTP 403"}),
    "instances": frozenset({"HTTP 500"}),
}
"""Calls that meet the faults of another call too, and the faults that `make test` has for them."""
PASSING = frozenset({"HTTP 503 once", "a connection cut after the call was handled"})


def is_always_run(row: Row) -> bool:
    """Whether `make test` has the row: one of each kind of fault, and what a call has of its own.

    All statuses, at all calls, are for `make test-all`.
    """
    if row.running and row.where == "put settings":
        return False  # as with the image, which is written after it
    if row.what in ("HTTP 500 once", "HTTP 502 once", "HTTP 504 once", "HTTP 503 always"):
        return False
    some = REPEATED.get(row.where)
    return some is None or row.what in (some | PASSING)


NOT_THERE = {"times": ALWAYS, "status": 404}
BROKEN = {"times": ALWAYS, "status": 500}

BRINGING_IN = (
    Row("import", "403", {"times": ALWAYS, "status": 403}),
    Row("import", "409", {"times": ALWAYS, "status": 409}),
    Row("import", "HTTP 500 always", BROKEN),
    Row("import's end", "the operation fails", NOT_THERE),
    Row("import's end", "HTTP 503 once", {"status": 503}),
    # What comes first from there is the app image's own configuration.
    Row("collector's layers", "HTTP 503 once", {"status": 503, "nth": 3}),
    Row("collector's layers", "a configuration cut short", {"truncate": 100, "nth": 2}),
    Row("collector's layers", "a layer cut short", {"truncate": 5000, "nth": 3}),
    # The imported copy can't be read: what is upstream can.
    Row("collector's layers", "HTTP 500 always", {**BROKEN, "nth": 2}),
    Row("collector's upload", "a connection cut before the call is handled", {"reset": True}),
    Row("collector's upload", "a connection cut after the call was handled", {"reset_after": True}),
    Row(
        "import",
        "403, and nothing to copy from here",
        {"times": ALWAYS, "status": 403},
        1,
        (
            "Registry 'docker.io' can't be reached",
            "Registry '{host}' couldn't import it either",
            "not allowed",
            "the site is unchanged",
        ),
    ),
    *(
        Row(
            where,
            "HTTP 500 always",
            BROKEN,
            1,
            ("'{host}'", "HTTP 500", "the site is unchanged"),
        )
        for where in ("collector's upload", "collector's manifest")
    ),
)
"""In registries that don't hold the collector yet."""

REAL = tuple(
    replace(row, what=f"{row.what}, with az")
    for row in (*READS, *REGISTRY_READS, *REGISTRY_WRITES, *WRITES)
    if row.title
    in (
        "site: 401",
        "settings: HTTP 503 always",
        "settings: a connection cut before the call is handled",
        "components: 404",
        "manifest: 404",
        "put manifest: 403",
        "put manifest: 409",
        "put settings: 403",
        "patch: 404",
        "patch: 409",
        "patch: 429 with a long Retry-After",
        "patch: connections cut always",
    )
)
"""Some of each kind, with the real az."""
REAL_ALWAYS = ("site: 401", "put manifest: 409", "patch: 404", "patch: connections cut always")
"""Those that `make test` has."""
