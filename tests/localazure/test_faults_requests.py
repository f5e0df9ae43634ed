"""The request log, and the effect of faults on clients."""

from __future__ import annotations

import socket
import ssl
import threading
import time

import httpx
import pytest

from localazure.client import LocalAzure
from localazure.faults.recorder import Recorder, scrub

PATH = "/v2/faulty/manifests/1"
CUT = (httpx.ReadError, httpx.RemoteProtocolError)
"""Python's TLS reports a reset in one of these ways."""


def get(azure: LocalAzure, http: httpx.Client, path: str = PATH) -> httpx.Response:
    return http.get(f"https://{azure.registries['shopregistry']}{path}")


def test_the_log_has_requests_and_responses(azure: LocalAzure, http: httpx.Client) -> None:
    mark = azure.mark()
    headers = {"x-localazure-client": "me", "user-agent": "test/1", "authorization": "Bearer x"}
    login = azure.registries["shopregistry"]
    body = http.post(f"https://{login}/v2/x/blobs/uploads/?a=1", content=b"12345", headers=headers)
    (record,) = azure.requests(since=mark, client="me")
    assert record["n"] == mark + 1
    assert record["service"] == "acr"
    assert (record["method"], record["host"]) == ("POST", login)
    assert (record["path"], record["query"]) == ("/v2/x/blobs/uploads/", "a=1")
    assert (record["status"], record["sent"]) == (401, 5)
    assert record["received"] == len(body.content)
    assert record["user_agent"] == "test/1"
    assert record["authorization"] is True
    assert abs(record["time"] - time.time()) < 60


def test_services_are_distinguished(azure: LocalAzure, http: httpx.Client) -> None:
    mark = azure.mark()
    http.get(f"{azure.management}/metadata/endpoints")
    http.get(f"{azure.management}/subscriptions")
    http.get(f"{azure.management}/v1.0/servicePrincipals")
    component = "/subscriptions/s/resourceGroups/g/providers/microsoft.insights/components/c"
    http.post(f"{azure.management}{component}/query")
    http.get(f"{azure.management}{component}")
    http.get(f"https://{azure.registries['hub']}/v2/")
    http.get(f"{azure.insights}/v1/apps/x/query")
    http.get(f"{azure.info['blobs']}/x")
    services = [record["service"] for record in azure.requests(since=mark)]
    expected = "aad, arm, graph, insights, arm, registry, insights, blob"
    assert ", ".join(services) == expected


def test_the_log_can_be_emptied_and_does_not_show_the_controls(azure: LocalAzure) -> None:
    azure.clear_requests()
    assert azure.faults() == []
    assert azure.requests() == []
    assert azure.mark() == 0


def test_secret_values_of_a_query_are_hidden() -> None:
    assert scrub("sv=2016-05-31&sig=abc%3D&se=now") == "sv=2016-05-31&sig=***&se=now"
    assert scrub("a=%2F&b") == "a=%2F&b"


def test_a_status_has_retry_after_and_the_error_body_of_the_service(
    azure: LocalAzure, http: httpx.Client
) -> None:
    azure.fault(service="acr", path="faulty", status=429, retry_after=3)
    answer = get(azure, http)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
    assert answer.json()["errors"][0]["code"] == "TOOMANYREQUESTS"
    assert get(azure, http).status_code == 401, "once is once"
    azure.fault(service="arm", status=503, times=0)
    for _ in range(3):
        answer = http.get(f"{azure.management}/subscriptions?api-version=2022-12-01")
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "ServiceUnavailable"


def test_errors_of_arm_and_microsoft_web_equal_the_recorded_ones(
    azure: LocalAzure, http: httpx.Client
) -> None:
    group = f"{azure.management}/subscriptions/{azure.subscription}/resourceGroups/shop-rg"

    def ask(status: int, path: str) -> httpx.Response:
        azure.fault(service="arm", path=path, status=status)
        answer = http.get(f"{group}/providers/{path}?api-version=2025-05-01")
        assert answer.status_code == status
        return answer

    locked = ask(429, "Microsoft.Web/sites/shop/config/web")
    assert locked.json()["Code"] == "429"
    assert locked.json()["Details"][2]["ErrorEntity"]["ExtendedCode"] == "59206"
    assert "retry-after" not in locked.headers
    unavailable = ask(503, "Microsoft.Web/sites/shop")
    assert unavailable.headers["content-type"] == "text/html; charset=us-ascii"
    assert "HTTP Error 503. The service is unavailable." in unavailable.text
    throttled = ask(429, "Microsoft.Insights/components/shop-insights")
    assert throttled.headers["retry-after"] == "1"
    assert throttled.json()["error"]["code"] == "ResourceRequestsThrottled"
    assert "'Microsoft.Insights/components/read'" in throttled.json()["error"]["message"]
    late = ask(504, "Microsoft.Web/sites/shop")
    assert late.headers["x-ms-failure-cause"] == "service"
    assert "a response from 'Microsoft.Web'" in late.json()["error"]["message"]


def test_a_fault_may_hit_the_nth_match_and_have_its_own_body(
    azure: LocalAzure, http: httpx.Client
) -> None:
    azure.fault(path="faulty", nth=2, times=2, status=500, body={"x": 1}, headers={"X-A": "b"})
    statuses = [get(azure, http) for _ in range(4)]
    assert [answer.status_code for answer in statuses] == [401, 500, 500, 401]
    assert statuses[1].json() == {"x": 1}
    assert statuses[1].headers["x-a"] == "b"
    (fault,) = azure.faults()
    assert fault["matches"] == 4


def test_faults_are_selected_by_method_host_query_and_client(
    azure: LocalAzure, http: httpx.Client
) -> None:
    host = azure.registries["hub"]
    for selector in ({"method": "HEAD"}, {"host": host}, {"query": "n=9"}, {"client": "other"}):
        azure.clear_faults()
        azure.fault(status=500, times=0, **selector)
        assert get(azure, http).status_code == 401
    azure.clear_faults()
    azure.fault(status=500, method="GET", host=azure.registries["shopregistry"], query="n=9")
    assert get(azure, http, f"{PATH}?n=9").status_code == 500


def test_latency_delays_the_response(azure: LocalAzure, http: httpx.Client) -> None:
    azure.fault(path="faulty", latency=0.5)
    start = time.monotonic()
    assert get(azure, http).status_code == 401
    assert time.monotonic() - start >= 0.5


def test_a_reset_cuts_the_connection_without_a_response(
    azure: LocalAzure, http: httpx.Client
) -> None:
    mark = azure.mark()
    azure.fault(path="faulty", reset=True)
    with pytest.raises(CUT):
        get(azure, http)
    (record,) = azure.requests(since=mark)
    assert (record["status"], record["received"]) == (None, 0)
    assert get(azure, http).status_code == 401


def test_a_reset_after_handling_keeps_the_effect_of_the_request(
    azure: LocalAzure, http: httpx.Client
) -> None:
    azure.fault(service="insights", reset_after=True)
    key = azure.components["shop-insights"].split(";")[0].partition("=")[2]
    envelope = {"name": "x", "time": "2026-01-01", "iKey": key, "data": {"baseType": "cut"}}
    azure.clear_telemetry()
    with pytest.raises(CUT):
        http.post(f"{azure.insights}/v2.1/track", json=[envelope])
    assert azure.telemetry() == [envelope]


def test_a_request_may_be_handled_and_answered_by_the_fault(
    azure: LocalAzure, http: httpx.Client
) -> None:
    mark = azure.mark()
    azure.fault(service="insights", status=200, body={}, handle=True)
    key = azure.components["shop-insights"].split(";")[0].partition("=")[2]
    envelope = {"name": "x", "time": "2026-01-01", "iKey": key, "data": {"baseType": "empty"}}
    azure.clear_telemetry()
    answer = http.post(f"{azure.insights}/v2.1/track", json=[envelope])
    assert (answer.status_code, answer.json()) == (200, {})
    assert azure.telemetry() == [envelope]
    (record,) = azure.requests(since=mark)
    assert record["sent"] == len(answer.request.content)


def test_a_truncated_response_ends_in_the_middle(azure: LocalAzure, http: httpx.Client) -> None:
    azure.fault(path="faulty", truncate=10)
    received: list[bytes] = []
    with http.stream("GET", f"https://{azure.registries['shopregistry']}{PATH}") as answer:
        assert int(answer.headers["content-length"]) > 10
        with pytest.raises(CUT):
            received.extend(answer.iter_raw(1))
    assert len(received) == 10


@pytest.mark.parametrize("when", ["hold", "hold_after"])
def test_a_held_request_waits_until_it_is_released(
    azure: LocalAzure, http: httpx.Client, when: str
) -> None:
    mark = azure.mark()
    fault = azure.fault(path="faulty", **{when: True})
    answers: list[httpx.Response] = []
    thread = threading.Thread(target=lambda: answers.append(get(azure, http)))
    thread.start()
    assert azure.until_held(fault, 10)
    assert azure.requests(since=mark)[0]["held"] is True
    assert answers == []
    azure.release(fault)
    thread.join(10)
    assert answers[0].status_code == 401
    assert azure.requests(since=mark)[0]["held"] is False


def test_an_answer_can_drip_and_never_ends(azure: LocalAzure) -> None:
    mark = azure.mark()
    azure.fault(path="faulty", drip=0.1)
    host, _, port = azure.registries["shopregistry"].partition(":")
    context = ssl.create_default_context(cafile=azure.ca)
    received = b""
    # No client in another thread: closed while that one reads, its descriptor may be taken by the
    # next connection, whose bytes it would read.
    with (
        socket.create_connection((host, int(port)), 10) as plain,
        context.wrap_socket(plain, server_hostname=host) as connection,
    ):
        connection.sendall(f"GET {PATH} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        while received.count(b"x-drip: 1\r\n") < 5:
            piece = connection.recv(1000)
            assert piece, "the double has ended the answer"
            received += piece
    assert b"\r\n\r\n" not in received
    assert azure.requests(since=mark)[0]["status"] is None


def test_a_wait_for_a_held_request_has_an_end(azure: LocalAzure) -> None:
    assert azure.until_held(azure.fault(path="faulty", hold=True), 0.1) is False


def test_an_invalid_fault_is_refused(azure: LocalAzure) -> None:
    with pytest.raises(ValueError, match="A fault has no colour"):
        azure.fault(colour="red")
    with pytest.raises(ValueError, match="error"):
        azure.fault(path="(")


def test_the_first_fault_set_wins_and_all_count() -> None:
    recorder = Recorder()
    first, second = recorder.add({"status": 500}), recorder.add({"status": 503, "times": 0})
    scope = {"method": "GET", "path": "/", "query_string": b"", "headers": []}
    hits = [recorder.due(recorder.begin(scope, "arm")) for _ in range(3)]
    assert hits == [first, second, second]
    assert (first.matches, second.matches) == (3, 3)
