"""The Kusto query for the rows of one site in an Application Insights component. Pure.

What the rows hold, from upstream's azuremonitorexporter (contracts_utils.go, trace_to_envelope.go,
log_to_envelope.go, metric_to_envelopes.go): `cloud_RoleName` is `service.name`, with
`service.namespace` and a dot before it where there is one; `cloud_RoleInstance` is
`service.instance.id`; every resource attribute is a member of `customDimensions`. `sdkVersion`
is "otelc-" and the collector's version (version_info.go), or empty in rows of earlier releases.
"""

from __future__ import annotations

from collections.abc import Mapping

RECIPE = "otelembed.recipe"
"""The resource attribute with the first 12 digits of the recipe, of every row of a release."""
HOST = "otelembed.host"
"""The resource attribute with the site's own host name, which tells slots and sites apart."""
MOST_GROUPS = 1000
"""Groups of rows (by table, instance, recipe, sender) that are asked for."""
KINDS: Mapping[str, tuple[str, str]] = {
    "request": ("requests", "request"),
    "dependency": ("dependencies", "dependency"),
    "trace": ("logs", "log"),
    "exception": ("exceptions", "exception"),
    "customMetric": ("metrics", "metric"),
    "customEvent": ("events", "event"),
}
"""The rows of the tables that the exporter fills, by their `itemType`: the names that results have,
and a single row's. (The tables themselves are views with these columns over the workspace's.)"""
COLUMNS = ("itemType", "role", "instance", "recipe", "host", "sdk", "rows", "newest", "asked")
"""The columns of the result; `asked` is the service's time of the query."""
_TABLES = ("requests", "dependencies", "traces", "exceptions", "customMetrics", "customEvents")


def kusto_text(value: str) -> str:
    """A string literal of Kusto, whatever characters the value has.

    In double quotes a backslash starts an escape sequence (Kusto's documentation of the string
    data type); a line break would end the literal.
    """
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in escaped) + '"'


def logs_query(name: str, host: str, recipe: str, seconds: float) -> str:
    """Counts the rows of the last `seconds` that may be a site's, by kind, instance and recipe.

    `name` is the Web App's, `host` its (or its slot's) own host name, `recipe` the 12 digits of
    the running image's (empty if unknown). `Sender.sends` chooses the site's among them.
    """
    conditions = [
        f"cloud_RoleName =~ {kusto_text(name)}",
        f"cloud_RoleName endswith {kusto_text(f'.{name}')}",
        f"host =~ {kusto_text(host)}",
    ]
    if recipe:
        conditions.append(f"recipe == {kusto_text(recipe)}")
    return " | ".join(
        (
            f"union {', '.join(_TABLES)}",
            f"where timestamp > ago({max(round(seconds), 1)}s)",
            f'extend recipe = tostring(customDimensions["{RECIPE}"]), '
            f'host = tostring(customDimensions["{HOST}"])',
            f"where {' or '.join(conditions)}",
            "summarize rows = count(), newest = max(timestamp) by itemType, "
            "role = cloud_RoleName, instance = cloud_RoleInstance, recipe, host, sdk = sdkVersion",
            f"top {MOST_GROUPS} by newest desc",
            "extend asked = now()",
        )
    )
