"""The tables of queries, made from telemetry."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

Row = dict[str, Any]
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

_TAGS = {
    "operation_Name": "ai.operation.name",
    "operation_Id": "ai.operation.id",
    "operation_ParentId": "ai.operation.parentId",
    "session_Id": "ai.session.id",
    "user_Id": "ai.user.id",
    "application_Version": "ai.application.ver",
    "client_IP": "ai.location.ip",
    "cloud_RoleName": "ai.cloud.role",
    "cloud_RoleInstance": "ai.cloud.roleInstance",
    "sdkVersion": "ai.internal.sdkVersion",
}
_COMMON = {
    "timestamp": "datetime",
    "itemType": "string",
    "customDimensions": "dynamic",
    "customMeasurements": "dynamic",
    **dict.fromkeys(_TAGS, "string"),
    "appId": "string",
    "appName": "string",
    "iKey": "string",
    "itemCount": "int",
}
_CALL = {**dict.fromkeys(("id", "name", "success", "resultCode"), "string"), "duration": "real"}
_OWN: dict[str, dict[str, str]] = {
    "requests": {**_CALL, "source": "string", "url": "string"},
    "dependencies": {**_CALL, **dict.fromkeys(("target", "type", "data"), "string")},
    "traces": {"message": "string", "severityLevel": "int"},
    "exceptions": {"type": "string", "outerMessage": "string", "severityLevel": "int"},
    "customMetrics": {
        "name": "string",
        "value": "real",
        "valueCount": "int",
        "valueSum": "real",
        "valueMin": "real",
        "valueMax": "real",
    },
    "customEvents": {"name": "string"},
    "availabilityResults": {"id": "string", "name": "string", "success": "string"},
}
TABLES = {name: {**own, **_COMMON} for name, own in _OWN.items()}
"""The columns of each table with their Kusto types."""


def rows(table: str, envelopes: Iterable[Mapping[str, Any]], app_id: str, app: str) -> list[Row]:
    """A table's rows, in order of arrival, with every column of `TABLES[table]`."""
    found = []
    for envelope in envelopes:
        data = envelope.get("data") or {}
        name, make = _KINDS.get(data.get("baseType", ""), ("", dict))
        if name != table:
            continue
        base = data.get("baseData") or {}
        own = make(base)
        row = _common(envelope, base, table) | {"appId": app_id, "appName": app}
        found.append({column: {**row, **own}.get(column) for column in TABLES[table]})
    return found


def moment(text: str) -> datetime:
    """An ISO 8601 time; EPOCH for invalid text. No zone means UTC."""
    try:
        # fromisoformat of Python 3.10 takes three or six decimals and no Z
        short = re.sub(r"(\.\d{1,6})\d*", lambda m: m[1].ljust(7, "0"), text)
        parsed = datetime.fromisoformat(short.replace("Z", "+00:00"))
    except ValueError:
        return EPOCH
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=timezone.utc)


def _common(envelope: Mapping[str, Any], base: Mapping[str, Any], table: str) -> Row:
    tags = envelope.get("tags") or {}
    return {
        "timestamp": moment(str(envelope.get("time", ""))),
        "itemType": {"dependencies": "dependency"}.get(table, table.removesuffix("s")),
        "customDimensions": base.get("properties") or {},
        "customMeasurements": base.get("measurements") or {},
        **{column: tags.get(tag, "") for column, tag in _TAGS.items()},
        "iKey": envelope.get("iKey", ""),
        "itemCount": 1,
    }


def _call(base: Mapping[str, Any], code: str) -> Row:
    """The columns of requests and dependencies; `code` is the field of their result code."""
    return {
        "id": base.get("id", ""),
        "name": base.get("name", ""),
        "success": str(base.get("success", True)),
        "resultCode": str(base.get(code, "")),
        "duration": _milliseconds(str(base.get("duration", ""))),
        **{name: base.get(name) or "" for name in ("source", "url", "target", "type", "data")},
    }


def _message(base: Mapping[str, Any]) -> Row:
    severity = base.get("severityLevel")
    levels = ["Verbose", "Information", "Warning", "Error", "Critical"]
    level = levels.index(severity) if severity in levels else severity
    return {"message": base.get("message", ""), "severityLevel": level}


def _exception(base: Mapping[str, Any]) -> Row:
    first = (base.get("exceptions") or [{}])[0]
    return {
        "type": first.get("typeName", ""),
        "outerMessage": first.get("message", ""),
        "severityLevel": _message(base)["severityLevel"],
    }


def _metric(base: Mapping[str, Any]) -> Row:
    first = (base.get("metrics") or [{}])[0]
    value = first.get("value")
    return {
        "name": first.get("name", ""),
        "value": value,
        "valueCount": first.get("count") or 1,
        "valueSum": value,
        "valueMin": first.get("min") if first.get("min") is not None else value,
        "valueMax": first.get("max") if first.get("max") is not None else value,
    }


_KINDS: dict[str, tuple[str, Callable[[Mapping[str, Any]], Row]]] = {
    "RequestData": ("requests", lambda base: _call(base, "responseCode")),
    "RemoteDependencyData": ("dependencies", lambda base: _call(base, "resultCode")),
    "MessageData": ("traces", _message),
    "ExceptionData": ("exceptions", _exception),
    "MetricData": ("customMetrics", _metric),
    "EventData": ("customEvents", lambda base: {"name": base.get("name", "")}),
}


def _milliseconds(text: str) -> float:
    """`[d.]hh:mm:ss[.fffffff]` in milliseconds; 0 for anything else."""
    match = re.fullmatch(r"(?:(\d+)\.)?(\d+):(\d+):(\d+(?:\.\d+)?)", text)
    if not match:
        return 0.0
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    span = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    return span / timedelta(milliseconds=1)
