"""The double answers as real Azure was recorded to answer: status, headers, shape of the body.

The recordings lie outside the repository. Where they aren't to be had the tests are skipped and
say so; the shapes that matter are asserted by tests/localazure as well.
"""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.contract import cases_arm, cases_data, cases_faults, cases_tasks, cases_web, recordings
from tests.contract.stage import Case, Stage

CASES = (
    *cases_arm.CASES,
    *cases_web.CASES,
    *cases_data.CASES,
    *cases_tasks.CASES,
    *cases_faults.CASES,
)

NOT_REPLAYED = {
    "la-query-200": "Log Analytics' getschema: the double answers Application Insights' tables"
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


@needs_recordings
@pytest.mark.parametrize("case", cases_faults.CASES, ids=lambda case: case.sample)
def test_a_fault_that_brings_no_body_says_what_was_recorded(case: Case, stage: Stage) -> None:
    sample = recordings.load(case.sample)
    answer = case.play(stage, sample)
    said = answer.json() if isinstance(sample.body, dict) else answer.text
    assert said == sample.body


@needs_recordings
def test_a_runs_log_begins_with_the_recorded_lines_ended_as_they_were(stage: Stage) -> None:
    sample = recordings.load("acr-build-log-get-206")
    answer = cases_tasks.log_part(stage, sample)
    recorded, ours = cases_tasks.agents(sample.body), cases_tasks.agents(answer.text)
    assert ours[: len(recorded)] == recorded


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
