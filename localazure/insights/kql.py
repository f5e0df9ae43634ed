"""A small part of the Kusto query language, evaluated over the rows that were ingested.

`TABLE` or `union TABLE, …`, then `where … | extend … | project … | take N | count | order by … |
top N by … | distinct … | summarize [n =] count()|max(…)|min(…), … [by …]`. Conditions are joined by
`and`, which binds tighter, and `or`; expressions are columns, members of dynamic columns,
`tostring(…)` and `now()`. Everything else is a syntax error.
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
    first, *steps = [part.strip() for part in _split(query.strip().rstrip(";"), "|")]
    is_union = re.fullmatch(r"union\s+(.+)", first, re.DOTALL)
    names = [part.strip() for part in is_union[1].split(",")] if is_union else [first]
    tables = []
    for name in names:
        found = source(name)
        if found is None:
            operator = f"'{steps[0].split()[0]}' operator: " if steps and steps[0] else ""
            text = f"{operator}Failed to resolve table or column expression named '{name}'"
            raise QueryError("SEM0100", text)
        tables.append(found)
    table = _union(tables)
    for step in steps:
        table = _step(table, step)
    return table


def _step(table: Table, step: str) -> Table:
    for pattern, apply in _OPERATORS:
        match = re.fullmatch(pattern, step, re.DOTALL)
        if match:
            return apply(table, *match.groups())
    raise QueryError("SYN0002", f"Query could not be parsed at '{step[:40]}'")


def _union(tables: list[Table]) -> Table:
    """All rows, with every column of each table; a row lacks those of the others."""
    columns = {name: kind for table in tables for name, kind in table.columns.items()}
    rows = [{name: row.get(name) for name in columns} for table in tables for row in table.rows]
    return Table(columns, rows)


def _where(table: Table, text: str) -> Table:
    either = [
        [_condition(table, part) for part in _split_at_word(each, "and")]
        for each in _split_at_word(text, "or")
    ]
    rows = [row for row in table.rows if any(all(test(row) for test in tests) for tests in either)]
    return Table(table.columns, rows)


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
        return re.sub(r"\\(?:u([0-9a-fA-F]{4})|(.))", _unescaped, text[1:-1])
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


def _unescaped(match: re.Match[str]) -> str:
    return chr(int(match[1], 16)) if match[1] else match[2]


def _named(text: str, position: int = 1) -> tuple[str, str]:
    """`(name, expression)` of `name = expression`, or of an expression alone, as Kusto names it."""
    match = re.fullmatch(r"([A-Za-z_]\w*)\s*=\s*(.+)", text.strip(), re.DOTALL)
    if match:
        return match[1], match[2]
    call = re.fullmatch(r"(\w+)\(\s*(.*?)\s*\)", text.strip())
    if call:
        plain = re.sub(r"\W+", "_", call[2]).strip("_")
        return (f"Column{position}" if call[1] == "tostring" else f"{call[1]}_{plain}"), text
    return re.sub(r"\W+", "_", text.strip()).strip("_"), text


def _expression(table: Table, text: str) -> tuple[str, Callable[[Row], Any]]:
    """The type and the value of an expression in a row."""
    text = text.strip()
    if re.fullmatch(r"now\(\s*\)", text):
        now = datetime.now(timezone.utc)
        return "datetime", lambda _row: now
    shown = re.fullmatch(r"tostring\((.+)\)", text, re.DOTALL)
    if shown:
        _, inner = _expression(table, shown[1])
        return "string", lambda row: "" if inner(row) is None else str(inner(row))
    return table.columns.get(text, "dynamic"), _value(table, text)


def _extend(table: Table, text: str) -> Table:
    columns, values = dict(table.columns), {}
    for position, part in enumerate(_split(text, ","), 1):
        name, expression = _named(part, position)
        columns[name], values[name] = _expression(table, expression)
    rows = [{**row, **{name: value(row) for name, value in values.items()}} for row in table.rows]
    return Table(columns, rows)


def _project(table: Table, text: str) -> Table:
    chosen = {}
    for position, part in enumerate(_split(text, ","), 1):
        name, expression = _named(part, position)
        chosen[name] = _expression(table, expression)
    columns = {name: kind for name, (kind, _) in chosen.items()}
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


def _summarize(table: Table, text: str) -> Table:
    aggregates, *by = _split_at_word(text, "by")
    keys = _project(table, by[0]) if by else Table({}, [{} for _ in table.rows])
    groups: dict[str, tuple[Row, list[Row]]] = {} if by else {"{}": ({}, [])}
    for key, row in zip(keys.rows, table.rows, strict=True):
        groups.setdefault(repr(key), (key, []))[1].append(row)
    columns = dict(keys.columns)
    made: list[Row] = [dict(key) for key, _ in groups.values()]
    for part in _split(aggregates, ","):
        name, expression = _named(part)
        call = re.fullmatch(r"(count|max|min)\(\s*(.*?)\s*\)", expression.strip())
        if not call:
            raise QueryError("SYN0002", f"Query could not be parsed at '{expression[:40]}'")
        kind, value = ("long", None) if call[1] == "count" else _expression(table, call[2])
        columns[name] = kind
        for target, (_, rows) in zip(made, groups.values(), strict=True):
            target[name] = _aggregate(call[1], rows, value)
    return Table(columns, made)


def _aggregate(function: str, rows: list[Row], value: Callable[[Row], Any] | None) -> Any:
    if value is None:
        return len(rows)
    found = [one for row in rows if (one := value(row)) is not None]
    return (max if function == "max" else min)(found, default=None)


_OPERATORS: list[tuple[str, Callable[..., Table]]] = [
    (r"(?:where|filter)\s+(.+)", _where),
    (r"project\s+(.+)", _project),
    (r"(?:take|limit)\s+(\d+)", _take),
    (r"count", _count),
    (r"(?:order|sort)\s+by\s+(.+)", _order),
    (r"top\s+(\d+)\s+by\s+(.+)", _top),
    (r"distinct\s+(.+)", _distinct),
    (r"extend\s+(.+)", _extend),
    (r"summarize\s+(.+)", _summarize),
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


def _split_at_word(text: str, word: str) -> list[str]:
    """`text` split at a word that stands alone, outside of strings and parentheses."""
    parts, depth = [""], 0
    for token in re.findall(rf"{_LITERAL}|\w+|.", text, re.DOTALL):
        depth += (token in "([") - (token in ")]") if len(token) == 1 else 0
        if token == word and not depth:
            parts.append("")
        else:
            parts[-1] += token
    return [part.strip() for part in parts]
