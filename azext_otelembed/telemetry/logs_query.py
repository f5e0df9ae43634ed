"""The Kusto query for the rows of one site in an Application Insights component. Pure.

What the rows hold, from upstream's azuremonitorexporter (contracts_utils.go, trace_to_envelope.go,
log_to_envelope.go, metric_to_envelopes.go): `cloud_RoleName` is `service.name`, with
`service.namespace` and a dot before it where there is one; `cloud_RoleInstance` is
`service.instance.id`; every resource attribute is a member of `customDimensions`.
"""

from __future__ import annotations

from collections.abc import Mapping

RECIPE = "otelembed.recipe"
"""The resource attribute with the first 12 digits of the recipe, of every row of a release."""
HOST = "otelembed.host"
"""The resource attribute with the site's own host name, which tells slots and sites apart."""
MOST_GROUPS = 1000
"""Groups of rows (by table, instance, recipe) that are asked for."""
TABLES: Mapping[str, tuple[str, str]] = {
    "requests": ("request", "requests"),
    "dependencies": ("dependency", "dependencies"),
    "traces": ("log", "logs"),
    "exceptions": ("exception", "exceptions"),
    "customMetrics": ("metric", "metrics"),
    "customEvents": ("event", "events"),
}
"""The tables that the exporter fills, and what a row of each is called: one, and several."""
COLUMNS = ("source", "role", "instance", "recipe", "host", "rows", "newest", "asked")
"""The columns of the result: `source` is the table, `asked` the service's time of the query."""


def kusto_text(value: str) -> str:
    """A string literal of Kusto, whatever characters the value has.

    In double quotes a backslash starts an escape sequence (Kusto's documentation of the string
    data type); a line break would end the literal.
    """
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in escaped) + '"'


def logs_query(name: str, host: str, recipe: str, seconds: float) -> str:
    """Counts the rows of the last `seconds` that may be a site's, by table, instance and recipe.

    `name` is the Web App's, `host` its (or its slot's) own host name, `recipe` the 12 digits of
    the running image's (empty if unknown). Which of these rows are the site's: `Sender.sends`.
    """
    role, suffix = kusto_text(name), kusto_text(f".{name}")
    conditions = [f"cloud_RoleName =~ {role}", f"cloud_RoleName endswith {suffix}"]
    conditions.append(f"host =~ {kusto_text(host)}")
    if recipe:
        conditions.append(f"recipe == {kusto_text(recipe)}")
    return " | ".join(
        (
            f"union withsource=source {', '.join(TABLES)}",
            f"where timestamp > ago({max(round(seconds), 1)}s)",
            f'extend recipe = tostring(customDimensions["{RECIPE}"]), '
            f'host = tostring(customDimensions["{HOST}"])',
            f"where {' or '.join(conditions)}",
            "summarize rows = count(), newest = max(timestamp) by source, "
            "role = cloud_RoleName, instance = cloud_RoleInstance, recipe, host",
            "extend asked = now()",
            f"top {MOST_GROUPS} by newest desc",
        )
    )
