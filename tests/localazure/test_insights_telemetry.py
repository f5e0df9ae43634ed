"""Ingestion of telemetry, and queries."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import httpx
import pytest

from localazure.client import LocalAzure
from localazure.insights.telemetry import Telemetry

NOW = datetime.now(timezone.utc)


def envelope(key: str, kind: str, base: dict[str, Any], minutes: float = 0) -> dict[str, Any]:
    # Not NOW: that is the time of the collection of tests, which may be long ago.
    moment = datetime.now(timezone.utc) - timedelta(minutes=minutes)
    return {
        "name": f"Microsoft.ApplicationInsights.{kind}",
        "time": f"{moment:%Y-%m-%dT%H:%M:%S.%f}0Z",
        "iKey": key,
        "tags": {"ai.cloud.role": "shop", "ai.operation.id": "0af7651916cd43dd"},
        "data": {"baseType": f"{kind}Data", "baseData": {"ver": 2, **base}},
    }


def request(key: str, name: str, code: str = "200", minutes: float = 0) -> dict[str, Any]:
    base = {
        "id": "b7ad6b7169203331",
        "name": name,
        "url": f"http://localhost{name}",
        "duration": "00:00:01.5000000",
        "responseCode": code,
        "success": code < "400",
        "properties": {"http.route": name},
    }
    return envelope(key, "Request", base, minutes)


@pytest.fixture
def key(azure: LocalAzure) -> Iterator[str]:
    azure.clear_telemetry()
    yield azure.components["shop-insights"].split(";")[0].partition("=")[2]
    azure.clear_telemetry()


def lines(*envelopes: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in envelopes)


@pytest.mark.parametrize("path", ["/v2.1/track", "/v2/track"])
def test_envelopes_may_be_gzipped_lines(
    azure: LocalAzure, http: httpx.Client, key: str, path: str
) -> None:
    body = lines(request(key, "/"), request(key, "/cart"))
    headers = {"content-type": "application/x-json-stream", "content-encoding": "gzip"}
    url = f"{azure.insights}{path}"
    answer = http.post(url, content=gzip.compress(body), headers=headers)
    assert answer.status_code == 200
    assert answer.json() == {"itemsReceived": 2, "itemsAccepted": 2, "errors": []}
    assert "x-ms-session-id" in answer.headers
    names = [each["data"]["baseData"]["name"] for each in azure.telemetry()]
    assert names == ["/", "/cart"]


def test_envelopes_may_be_an_array(azure: LocalAzure, http: httpx.Client, key: str) -> None:
    upper = request(key.upper(), "/")
    assert http.post(f"{azure.insights}/v2.1/track", json=[upper]).status_code == 200
    assert azure.telemetry() == [upper]


def test_an_unknown_instrumentation_key_is_refused(
    azure: LocalAzure, http: httpx.Client, key: str
) -> None:
    unknown = request("00000000-0000-0000-0000-000000000000", "/")
    answer = http.post(f"{azure.insights}/v2.1/track", content=lines(unknown))
    assert answer.status_code == 400
    message = "Invalid instrumentation key"
    assert answer.json() == {
        "itemsReceived": 1,
        "itemsAccepted": 0,
        "errors": [{"index": 0, "statusCode": 400, "message": message}],
    }
    both = http.post(f"{azure.insights}/v2.1/track", content=lines(request(key, "/"), unknown))
    assert both.status_code == 206
    assert (both.json()["itemsAccepted"], both.json()["errors"][0]["index"]) == (1, 1)


@pytest.mark.parametrize(
    ("body", "encoding"), [(b"{", ""), (b"{}", ""), (b"not gzip", "gzip"), (b"\xff", "")]
)
def test_a_broken_body_is_400(
    azure: LocalAzure, http: httpx.Client, body: bytes, encoding: str
) -> None:
    headers = {"content-encoding": encoding} if encoding else {}
    answer = http.post(f"{azure.insights}/v2.1/track", content=body, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["itemsAccepted"] == 0


def app_id(azure: LocalAzure) -> str:
    return azure.components["shop-insights"].rpartition("ApplicationId=")[2]


def ask(azure: LocalAzure, http: httpx.Client, text: str, **more: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {azure.token(azure.insights)}"}
    url = f"{azure.insights}/v1/apps/{app_id(azure)}/query"
    return http.post(url, json={"query": text, **more}, headers=headers)


def query(azure: LocalAzure, http: httpx.Client, text: str, **more: str) -> dict[str, Any]:
    (table,) = ask(azure, http, text, **more).raise_for_status().json()["tables"]
    assert table["name"] == "PrimaryResult"
    return dict(table)


def rows(azure: LocalAzure, http: httpx.Client, text: str, **more: str) -> list[list[Any]]:
    return list(query(azure, http, text, **more)["rows"])


@pytest.fixture
def filled(azure: LocalAzure, http: httpx.Client, key: str) -> LocalAzure:
    metric = {"metrics": [{"name": "queue", "value": 3.5}]}
    failure = {"exceptions": [{"typeName": "KeyError", "message": "x"}], "severityLevel": "Error"}
    remote = {"name": "GET /", "target": "db", "duration": "1.00:00:00", "success": True}
    sent = [
        request(key, "/", minutes=90),
        request(key, "/cart", "404", minutes=5),
        request(key, "/Checkout", "500", minutes=1),
        envelope(key, "Message", {"message": "hello", "severityLevel": "Warning"}),
        envelope(key, "Metric", metric),
        envelope(key, "Exception", failure),
        envelope(key, "RemoteDependency", remote),
        envelope(key, "Event", {"name": "bought"}),
        envelope(key, "Unheard", {}),
    ]
    assert http.post(f"{azure.insights}/v2.1/track", json=sent).status_code == 200
    return azure


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("requests | count", [[3]]),
        ("traces | where message == 'nothing' | count", [[0]]),
        (
            "requests | where name contains 'check' | project name, resultCode",
            [["/Checkout", "500"]],
        ),
        ('requests | where success == false and name != "/cart" | project name', [["/Checkout"]]),
        ("requests | where resultCode > 400 | count", [[2]]),
        ("requests | where timestamp > ago(10m) | count", [[2]]),
        ("requests | where timestamp < ago(1h) | project name", [["/"]]),
        ("requests | where timestamp >= datetime(2020-01-01) | count", [[3]]),
        ("requests | where duration == 1500 | count", [[3]]),
        ("requests | order by timestamp desc | project name | take 1", [["/Checkout"]]),
        ("requests | top 1 by timestamp asc | project name", [["/"]]),
        ("requests | where customDimensions['http.route'] == '/cart' | count", [[1]]),
        ("requests | summarize n = count() by success", [["True", 1], ["False", 2]]),
        ("requests | summarize count()", [[3]]),
        ("requests | distinct cloud_RoleName", [["shop"]]),
        ("requests | project a = name, customDimensions['http.route'] | limit 1", [["/", "/"]]),
        ("requests | where name startswith '/ca' and name has 'cart' | count", [[1]]),
        ("requests | where name =~ '/CHECKOUT' | count", [[1]]),
        ("traces | project message, severityLevel, itemType", [["hello", 2, "trace"]]),
        ("customMetrics | project name, value, valueCount", [["queue", 3.5, 1]]),
        ("exceptions | project type, outerMessage, severityLevel", [["KeyError", "x", 3]]),
        ("dependencies | project target, duration, itemType", [["db", 86400000.0, "dependency"]]),
        ("customEvents | project name", [["bought"]]),
        ("availabilityResults | distinct name | order by name asc", []),
    ],
)
def test_queries_return_the_received_telemetry(
    filled: LocalAzure, http: httpx.Client, text: str, expected: list[list[Any]]
) -> None:
    assert rows(filled, http, text) == expected


def test_a_timespan_limits_the_query(filled: LocalAzure, http: httpx.Client) -> None:
    assert rows(filled, http, "requests | count", timespan="PT1H") == [[2]]
    start, end = NOW - timedelta(hours=2), NOW - timedelta(hours=1)
    span = f"{start:%Y-%m-%dT%H:%M:%S.%f}Z/{end:%Y-%m-%dT%H:%M:%SZ}"
    assert rows(filled, http, "requests | project name", timespan=span) == [["/"]]


def test_columns_have_types_and_dynamic_ones_are_json_text(
    filled: LocalAzure, http: httpx.Client
) -> None:
    table = query(filled, http, "requests | project timestamp, duration, customDimensions | take 1")
    types = [column["type"] for column in table["columns"]]
    assert types == ["datetime", "real", "dynamic"]
    moment, duration, dimensions = table["rows"][0]
    assert moment.endswith("Z")
    assert duration == 1500.0
    assert json.loads(dimensions) == {"http.route": "/"}


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("AppInsights | where a > ago(1h)", "SEM0100", "named 'AppInsights'"),
        ("requests | where nothing == 1", "SEM0100", "named 'nothing'"),
        ("requests | render timechart", "SYN0002", "render timechart"),
        ("requests | where name ~ 1", "SYN0002", "name ~ 1"),
        ("requests | where name == nonsense(", "SYN0002", "nonsense("),
        ("", "SEM0100", "named ''"),
    ],
)
def test_invalid_queries_are_400_with_kustos_code(
    azure: LocalAzure, http: httpx.Client, text: str, code: str, message: str
) -> None:
    answer = ask(azure, http, text)
    error = answer.json()["error"]
    assert answer.status_code == 400
    assert error["code"] == "BadArgumentError"
    assert error["message"] == "The request had some invalid properties"
    assert error["innererror"]["innererror"]["code"] == code
    assert message in error["innererror"]["innererror"]["message"]


def test_a_component_can_be_queried_through_arm(filled: LocalAzure, http: httpx.Client) -> None:
    component = (
        f"/subscriptions/{filled.subscription}/resourceGroups/Shop-RG"
        "/providers/Microsoft.Insights/components/Shop-Insights"
    )
    headers = {"authorization": f"Bearer {filled.token()}"}
    for path in ("query", "api/query"):
        url = f"{filled.management}{component}/{path}?api-version=2018-04-20"
        answer = http.post(url, json={"query": "requests | count"}, headers=headers)
        assert answer.json()["tables"][0]["rows"] == [[3]]


def test_a_query_needs_a_token_for_application_insights_and_a_known_app(
    azure: LocalAzure, http: httpx.Client
) -> None:
    url = f"{azure.insights}/v1/apps/{app_id(azure)}/query"
    assert http.post(url, json={"query": "requests"}).status_code == 401
    arm = {"authorization": f"Bearer {azure.token()}"}
    assert http.post(url, json={"query": "requests"}, headers=arm).status_code == 401
    own = {"authorization": f"Bearer {azure.token(azure.insights)}"}
    answer = http.post(f"{azure.insights}/v1/apps/x/query", json={}, headers=own)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "PathNotFoundError"
    assert http.post(url, content=b"{", headers=own).status_code == 400
    got = http.get(url, params={"query": "requests | count"}, headers=own)
    assert got.status_code == 200


def test_tables_are_united_and_summarised(filled: LocalAzure, http: httpx.Client) -> None:
    text = (
        "union requests, dependencies | where name == '/' or name == 'GET /' | "
        "extend route = tostring(customDimensions['http.route']) | "
        "summarize n = count(), newest = max(timestamp) "
        "by itemType, role = cloud_RoleName, route | "
        "extend asked = now()"
    )
    table = query(filled, http, text)
    names = [column["name"] for column in table["columns"]]
    assert names == ["itemType", "role", "route", "n", "newest", "asked"]
    assert [row[:4] for row in table["rows"]] == [
        ["request", "shop", "/", 1],
        ["dependency", "shop", "", 1],
    ]
    assert all(row[4] < row[5] for row in table["rows"])


def test_and_binds_tighter_than_or(filled: LocalAzure, http: httpx.Client) -> None:
    text = "requests | where name == '/' or name == '/cart' and resultCode == '500' | count"
    assert rows(filled, http, text) == [[1]]
    assert rows(filled, http, "requests | where name == ' or ' or name == '/' | count") == [[1]]


def test_queries_find_telemetry_after_the_time_of_ingestion(
    azure: LocalAzure, http: httpx.Client, key: str
) -> None:
    with azure.ingestion(latency=1):
        assert http.post(f"{azure.insights}/v2.1/track", json=[request(key, "/")]).is_success
        assert len(azure.telemetry()) == 1
        assert rows(azure, http, "requests | count") == [[0]]
        time.sleep(1.1)
        assert rows(azure, http, "requests | count") == [[1]]


def test_a_query_through_arm_needs_the_right_to_read(azure: LocalAzure, http: httpx.Client) -> None:
    group = f"/subscriptions/{azure.subscription}/resourceGroups/shop-rg"
    component = f"{group}/providers/microsoft.insights/components/shop-insights"
    url = f"{azure.management}{component}/query"
    parameters = {"api-version": "2018-04-20", "query": "requests | count"}
    for number, roles in enumerate(([], [{"role": "Monitoring Reader", "scope": component}])):
        client_id = f"c04e0000-0000-4000-8000-0000000001{number:02}"
        azure.add_principal(client_id, "not-a-secret", roles)
        token = azure.token(client_id=client_id, secret="not-a-secret")
        headers = {"authorization": f"Bearer {token}"}
        answer = http.get(url, params=parameters, headers=headers)
        if roles:
            assert answer.status_code == 200
            # A POST is an action, and a reader may read.
            posted = http.post(url, params=parameters, json={}, headers=headers)
            assert posted.status_code == 403
            continue
        assert answer.status_code == 403
        error = answer.json()["error"]
        assert error["code"] == "AuthorizationFailed"
        assert "'Microsoft.Insights/components/query/read'".lower() in error["message"].lower()


def test_a_caller_who_queries_too_often_has_to_wait() -> None:
    telemetry = Telemetry()
    assert [telemetry.throttled("one", 2, 30) for _ in range(2)] == [0, 0]
    assert 28 < telemetry.throttled("one", 2, 30) <= 30
    assert telemetry.throttled("another", 2, 30) == 0
    assert telemetry.throttled("one", 2, 0) == 0, "the time is over"
