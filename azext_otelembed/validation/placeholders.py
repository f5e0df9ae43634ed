"""Values for the variables that a configuration reads: the site's own are never given away."""

from __future__ import annotations

from azext_otelembed.collector.expansion import environment_names
from azext_otelembed.collector.yaml_document import Node

_KNOWN = {
    "APPLICATIONINSIGHTS_CONNECTION_STRING": (
        "InstrumentationKey=00000000-0000-4000-8000-000000000001;"
        "IngestionEndpoint=https://localhost/"
    ),
    "WEBSITE_SITE_NAME": "site",
    "WEBSITE_SLOT_NAME": "Production",
    "WEBSITE_INSTANCE_ID": "instance",
    "WEBSITE_HOSTNAME": "site.azurewebsites.net",
    "OTELEMBED_RECIPE": "0123456789ab",
    "HOSTNAME": "host",
}
# A number where one is wanted, and text where text is: YAML's 1 keeps its spelling.
_UNKNOWN = "1"


def placeholders(root: Node) -> dict[str, str]:
    """A value for each variable without a default in the configuration."""
    names = environment_names(root)
    return {name: _KNOWN.get(name, _UNKNOWN) for name, has_default, _ in names if not has_default}


def depends_on_unknown(node: Node) -> bool:
    """Whether a value comes from a variable whose placeholder says nothing about the real one."""
    return any(
        name not in _KNOWN and not has_default for name, has_default, _ in environment_names(node)
    )
