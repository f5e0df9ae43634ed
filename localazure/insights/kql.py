"""A small part of the Kusto query language.

`TABLE | where …  | project … | take N | count | order by … | top N by … | distinct … |
summarize [n =] count() [by …]`; conditions are joined by `and`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from localazure.insights.tables import Row, moment

_LITERAL = r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'"
_COLUMN = r"[A-Za-z_]\w*(?:\.\w+|\[(?:" + _LITERAL + r")\])*"
_CONDITION = re.compile(
    rf"({_COLUMN})\s*(==|!=|=~|!~|>=|<=|>|<|!contains\b|contains\b|has\b|startswith\b|endswith\b)"
    rf"\s*(.+)",
    re.DOTALL,
)
_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


class QueryError(ValueError):
    """A query that can't be answered; `code` is Kusto's (SEM0100, SYN0002)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Table:
    """Columns with their types, and rows."""

    columns: dict[str, str]
    rows: list[Row]


def run(query: str, source: Callable[[str], Table | None]) -> Table:
    """Run a query; `source` returns a table by name, None for an unknown one."""
    name, *steps = [part.strip() for part in _split(query.strip().rstrip(";"), "|")]
    table = source(name)
    if table is None:
        operator = f"'{steps[0].split()[0]}' operator: " if steps and steps[0] else ""
        text = f"{operator}Failed to resolve table or column expression named '{name}'"
        raise QueryError("SEM0100", text)
    for step in steps:
        table = _step(table, step)
    return table


def _step(table: Table, step: str) -> Table:
    for pattern, apply in _OPERATORS:
        match = re.fullmatch(pattern, step, re.DOTALL)
        if match:
            return apply(table, *match.groups())
    raise QueryError("SYN0002", f"Query could not be parsed at '{step[:40]}'")


def _where(table: Table, text: str) -> Table:
    tests = [_condition(table, part) for part in re.split(rf"\s+and\s+(?={_COLUMN}\s)", text)]
    return Table(table.columns, [row for row in table.rows if all(test(row) for test in tests)])


def _condition(table: Table, text: str) -> Callable[[Row], bool]:
    match = _CONDITION.fullmatch(text.strip())
    if not match:
        raise QueryError("SYN0002", f"Query could not be parsed at '{text[:40]}'")
    value, operator, wanted = _value(table, match[1]), _TESTS[match[2]], _literal(match[3])

    def test(row: Row) -> bool:
        have = value(row)
        return have is not None and operator(_like(have, wanted), wanted)

    return test


def _like(have: Any, wanted: Any) -> Any:
    """A column's value as the literal's type, so that both can be compared."""
    if isinstance(wanted, str) and not isinstance(have, str):
        return str(have)
    if isinstance(wanted, float) and isinstance(have, str):
        return float(have) if re.fullmatch(r"-?\d+(\.\d+)?", have) else float("nan")
    return have


def _value(table: Table, path: str) -> Callable[[Row], Any]:
    """The value of a column, or of a member of a dynamic column, in a row."""
    name, *rest = re.findall(rf"(?:^|\.)\w+|\[(?:{_LITERAL})\]", path)
    members = [part.strip(".[]\"'") for part in rest]
    if name not in table.columns:
        raise QueryError("SEM0100", f"Failed to resolve column or scalar expression named '{name}'")

    def value(row: Row) -> Any:
        found = row[name]
        for member in members:
            found = found.get(member) if isinstance(found, dict) else None
        return found

    return value


def _literal(text: str) -> Any:
    text = text.strip()
    if re.fullmatch(_LITERAL, text):
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    if re.fullmatch(r"-?\d+(\.\d+)?", text):
        return float(text)
    if text.lower() in ("true", "false"):
        return text.capitalize()
    now = datetime.now(timezone.utc)
    ago = re.fullmatch(r"ago\(\s*(\d+(?:\.\d+)?)(d|h|ms|m|s)\s*\)", text)
    if ago:
        return now - timedelta(seconds=float(ago[1]) * _UNITS[ago[2]])
    if re.fullmatch(r"now\(\s*\)", text):
        return now
    date = re.fullmatch(r"datetime\(\s*[\"']?([^\"')]+)[\"']?\s*\)", text)
    if date:
        return moment(date[1].strip())
    raise QueryError("SYN0002", f"Query could not be parsed at '{text[:40]}'")


def _project(table: Table, text: str) -> Table:
    chosen = {}
    for part in _split(text, ","):
        name, equals, path = part.partition("=")
        path = path.strip() if equals else part.strip()
        name = name.strip() if equals else re.sub(r"\W+", "_", path).strip("_")
        chosen[name] = path, _value(table, path)
    columns = {name: table.columns.get(path, "dynamic") for name, (path, _) in chosen.items()}
    rows = [{name: value(row) for name, (_, value) in chosen.items()} for row in table.rows]
    return Table(columns, rows)


def _take(table: Table, count: str) -> Table:
    return Table(table.columns, table.rows[: int(count)])


def _count(table: Table) -> Table:
    return Table({"Count": "long"}, [{"Count": len(table.rows)}])


def _order(table: Table, text: str) -> Table:
    rows = list(table.rows)
    for part in reversed(_split(text, ",")):
        path, _, direction = part.strip().partition(" ")
        value = _value(table, path)

        def key(row: Row, value: Callable[[Row], Any] = value) -> tuple[bool, Any]:
            found = value(row)
            return found is not None, found if found is not None else 0

        rows.sort(key=key, reverse=direction.strip().lower() != "asc")
    return Table(table.columns, rows)


def _top(table: Table, count: str, text: str) -> Table:
    return _take(_order(table, text), count)


def _distinct(table: Table, text: str) -> Table:
    table = _project(table, text)
    unique = {repr(row): row for row in table.rows}
    return Table(table.columns, list(unique.values()))


def _summarize(table: Table, name: str | None, by: str | None) -> Table:
    name = name or "count_"
    if by is None:
        return Table({name: "long"}, [{name: len(table.rows)}])
    keys = _project(table, by)
    counts: dict[str, Row] = {}
    for row in keys.rows:
        counts.setdefault(repr(row), {**row, name: 0})[name] += 1
    return Table({**keys.columns, name: "long"}, list(counts.values()))


_OPERATORS: list[tuple[str, Callable[..., Table]]] = [
    (r"(?:where|filter)\s+(.+)", _where),
    (r"project\s+(.+)", _project),
    (r"(?:take|limit)\s+(\d+)", _take),
    (r"count", _count),
    (r"(?:order|sort)\s+by\s+(.+)", _order),
    (r"top\s+(\d+)\s+by\s+(.+)", _top),
    (r"distinct\s+(.+)", _distinct),
    (r"summarize\s+(?:(\w+)\s*=\s*)?count\(\s*\)(?:\s+by\s+(.+))?", _summarize),
]

_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda have, wanted: have == wanted,
    "!=": lambda have, wanted: have != wanted,
    "=~": lambda have, wanted: str(have).lower() == str(wanted).lower(),
    "!~": lambda have, wanted: str(have).lower() != str(wanted).lower(),
    ">=": lambda have, wanted: have >= wanted,
    "<=": lambda have, wanted: have <= wanted,
    ">": lambda have, wanted: have > wanted,
    "<": lambda have, wanted: have < wanted,
    "contains": lambda have, wanted: str(wanted).lower() in str(have).lower(),
    "!contains": lambda have, wanted: str(wanted).lower() not in str(have).lower(),
    "has": lambda have, wanted: bool(
        re.search(rf"(?<!\w){re.escape(str(wanted))}(?!\w)", str(have), re.IGNORECASE)
    ),
    "startswith": lambda have, wanted: str(have).lower().startswith(str(wanted).lower()),
    "endswith": lambda have, wanted: str(have).lower().endswith(str(wanted).lower()),
}


def _split(text: str, separator: str) -> list[str]:
    """`text` split at separators outside of strings and parentheses."""
    parts, depth = [""], 0
    for token in re.findall(rf"{_LITERAL}|.", text, re.DOTALL):
        depth += (token in "([") - (token in ")]") if len(token) == 1 else 0
        if token == separator and not depth:
            parts.append("")
        else:
            parts[-1] += token
    return parts
