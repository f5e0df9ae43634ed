"""The double answers as real Azure was recorded to answer: status, headers, shape of the body.

The recordings lie outside the repository. Where they aren't to be had the tests are skipped and
say so; the shapes that matter are asserted by tests/localazure as well.
"""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.contract import cases_arm, cases_data, cases_web, recordings
from tests.contract.stage import Case, Stage

CASES = (*cases_arm.CASES, *cases_web.CASES, *cases_data.CASES)

TASKS = "ACR Tasks: the double serves it, and tests/builders tries it with az; not replayed yet"
FAULT = "made by injecting a fault, whose status and body the test chooses itself"

NOT_REPLAYED = {
    "acr-build-log-get-206": TASKS,
    "acr-build-log-head-complete": TASKS,
    "acr-build-log-head-incomplete": TASKS,
    "acr-build-source-put-blob": TASKS,
    "acr-listbuildsourceuploadurl": TASKS,
    "acr-listlogsasurl": TASKS,
    "acr-run-get-queued": TASKS,
    "acr-run-get-queued-2025": TASKS,
    "acr-run-get-succeeded": TASKS,
    "acr-run-get-succeeded-2025": TASKS,
    "acr-runs-list": TASKS,
    "acr-schedulerun-dockerbuild-2019": TASKS,
    "acr-schedulerun-dockerbuild-2025": TASKS,
    "err-429-arm-gateway": FAULT,
    "err-429-web-rp-lock": FAULT,
    "err-503-web-html": FAULT,
    "err-504-arm-gateway": FAULT,
    "la-query-200": "Log Analytics' getschema: the double answers Application Insights' tables",
}

needs_recordings = pytest.mark.skipif(
    not recordings.FOLDER.is_dir(),
    reason="the recordings of real Azure (../shared/azure-samples) are not here",
)


@needs_recordings
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.sample)
def test_the_double_answers_as_recorded(case: Case, stage: Stage) -> None:
    sample = recordings.load(case.sample)
    answer = case.play(stage, sample)
    assert recordings.differences(sample, answer, case.allowed) == []


@needs_recordings
def test_every_recording_is_replayed_or_says_why_not() -> None:
    replayed = {case.sample for case in CASES}
    assert replayed | NOT_REPLAYED.keys() == recordings.names()
    assert not replayed & NOT_REPLAYED.keys()


SAMPLE = recordings.Sample(
    name="made up",
    method="GET",
    url="https://example.com",
    request_body=None,
    status=200,
    headers={"content-type": "application/json", "etag": '"1"'},
    body={"id": "a", "list": [{"name": "b", "value": None}], "flag": True},
)


@pytest.mark.parametrize(
    ("status", "body", "headers", "difference"),
    [
        (201, SAMPLE.body, {}, "status: recorded 200, got 201"),
        (200, {**SAMPLE.body, "id": None}, {}, "id: recorded text, got null"),
        (200, {**SAMPLE.body, "flag": 1}, {}, "flag: recorded boolean, got number"),
        (200, {**SAMPLE.body, "more": 1}, {}, "more: isn't in the recording"),
        (200, {**SAMPLE.body, "list": []}, {}, "list[]: is empty"),
        (200, {**SAMPLE.body, "list": [{"name": "b"}]}, {}, "list[].value: is missing"),
        (200, SAMPLE.body, {"location": "/x"}, "header location: not recorded; got '/x'"),
    ],
)
def test_what_differs_is_noticed(
    status: int, body: Any, headers: dict[str, str], difference: str
) -> None:
    answer = httpx.Response(
        status,
        content=json.dumps(body),
        headers={"content-type": "application/json", "etag": '"2"', **headers},
    )
    found = recordings.differences(SAMPLE, answer, ())
    assert len(found) == 1
    assert found[0].startswith(difference)


def test_an_answer_of_the_same_shape_does_not_differ() -> None:
    body = {"flag": False, "id": "z", "list": [{"name": "c", "value": None}] * 2}
    headers = {"content-type": "application/json", "etag": '"2"'}
    answer = httpx.Response(200, content=json.dumps(body), headers=headers)
    assert recordings.differences(SAMPLE, answer, ()) == []
