"""The status object as a panel for a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.panel import Panel


def panel(status: Mapping[str, Any]) -> Panel:
    """Draws what `status` returned."""
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")

    def row(name: str, value: object, style: str = "") -> None:
        if value not in (None, ""):
            table.add_row(name, Text(str(value), style=style))

    healthy = status["healthy"]
    setting = status["setting"]
    collector = status["collector"] or {}
    base = status["base"] or {}
    row("site", f"{status['site']}  {status['state']}  https://{status['host']}")
    row("image", status["image"]["name"])
    by = ", by its own Dockerfile" if status["embeddedBy"] == "dockerfile" else ""
    row("embedded", {True: f"yes{by}", False: "no", None: "unknown"}[status["embedded"]])
    row("base", base.get("name"))
    version, name = collector.get("version"), collector.get("name") or ""
    row("collector", version and f"{version}  {name}".rstrip())
    row("config", status["config"] and f"{status['config'][:19]}…")
    row("launcher", status["launcher"])
    row("setting", _setting(setting), "" if setting["present"] else "red")
    row("startup", status["startupCommand"])
    row("instances", status["instances"])
    row("answers", status["http"])
    for update in status["updates"]:
        row("update", update, "yellow")
    for note in status["notes"]:
        row("note", note, "yellow")
    for problem in status["problems"]:
        row("problem", problem, "red")
    title = "[green]● healthy" if healthy else "[red]● not healthy"
    return Panel(table, title=title, title_align="left", border_style="green" if healthy else "red")


def _setting(setting: Mapping[str, Any]) -> str:
    if not setting["present"]:
        return f"{setting['name']} is missing"
    if setting["matches"]:
        return f"{setting['value']}  (component '{setting['component']}')"
    return f"{setting['value']}" + (f"  ({setting['note']})" if setting["note"] else "")
