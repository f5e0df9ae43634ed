"""Connection strings as the exporter reads them, byte for byte, and what is wrong with them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azext_otelembed.collector.config import (
    ConfigFile,
    check,
    default,
    load,
    read,
    signs_in,
    uses_azuremonitor,
)
from azext_otelembed.collector.connection_string import (
    completed,
    differences,
    is_app_configuration_reference,
    is_reference,
    mask,
    parse,
)
from azext_otelembed.collector.destination import PUBLIC_ENDPOINT, destination, problems
from azext_otelembed.errors import InvalidConfig
from localazure.client import ROOT
from tests.exporter_strings import EXITS, KEY, SENDS, STARTS

FULL = f"InstrumentationKey={KEY};IngestionEndpoint=https://localhost:1/"


@pytest.mark.parametrize("text", EXITS)
def test_a_string_on_which_the_collector_exits_is_a_problem_and_can_be_put_in_order(
    text: str,
) -> None:
    with pytest.raises(InvalidConfig, match="the collector exits at start"):
        destination(text)
    (problem,) = problems(text)
    assert problem.endswith("the collector exits at start")
    assert KEY[:8] not in problem
    try:
        normalised = parse(text).normalised
    except InvalidConfig:
        return
    assert problems(normalised) == ()


@pytest.mark.parametrize("text", STARTS)
def test_a_string_with_which_the_collector_starts_has_a_destination(text: str) -> None:
    assert destination(text).instrumentation_key


@pytest.mark.parametrize("text", SENDS)
def test_a_string_that_works_has_no_problem(text: str) -> None:
    assert problems(text) == ()
    assert destination(text).instrumentation_key == KEY


# The cases of upstream's connection_string_parser_test.go, with keys that are GUIDs.
INGESTION = "https://ingestion.azuremonitor.com/"


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        (f"InstrumentationKey={KEY};IngestionEndpoint={INGESTION}", INGESTION),
        (f"InstrumentationKey={KEY};IngestionEndpoint={INGESTION};ExtraParam=extra", INGESTION),
        (f"InstrumentationKey = {KEY} ; IngestionEndpoint = {INGESTION}", INGESTION),
        (f"InstrumentationKey={KEY}", PUBLIC_ENDPOINT),
        (f"InstrumentationKey={KEY};IngestionEndpoint=", PUBLIC_ENDPOINT),
        ("", None),
        ("InvalidConnectionString", None),
        (f"IngestionEndpoint={INGESTION}", None),
        (f"InstrumentationKey=;IngestionEndpoint={INGESTION}", None),
        ("a" * 4097, None),
    ],
)
def test_it_reads_what_upstreams_tests_read(text: str, endpoint: str | None) -> None:
    if endpoint is None:
        with pytest.raises(InvalidConfig):
            destination(text)
        return
    assert destination(text).endpoint == endpoint


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (FULL.replace(KEY, "0" * 8 + "-0000" * 3 + "-" + "0" * 12), "all zeros"),
        (FULL.replace(KEY, "s3cret"), "not a GUID"),
        (FULL.replace(KEY, f'"{KEY}"'), "not a GUID"),
        (FULL.replace("https", "http"), "not an https address"),
        (FULL.replace("https://", ""), "not an https address"),
        (FULL.replace("https://", "https://["), "not an https address"),
        (FULL.replace("IngestionEndpoint", "ingestionendpoint"), PUBLIC_ENDPOINT),
        (f"{FULL}v2.1/track", "appends itself"),
        (f"InstrumentationKey={KEY};EndpointSuffix=ai.contoso.com", "EndpointSuffix"),
    ],
)
def test_a_string_with_which_telemetry_goes_astray_is_a_problem(text: str, problem: str) -> None:
    (found,) = problems(text)
    assert problem in found
    assert "s3cret" not in found
    assert KEY[:8] not in found


@pytest.mark.parametrize(
    ("text", "own", "endpoint"),
    [
        ("EndpointSuffix=ai.contoso.com", None, "https://dc.ai.contoso.com/"),
        ("EndpointSuffix=ai.contoso.com", "https://own/", "https://dc.ai.contoso.com/"),
        (
            "EndpointSuffix=ai.contoso.com;Location=westus2",
            None,
            "https://westus2.dc.ai.contoso.com/",
        ),
        ("Location=westus2", None, None),
        ("LiveEndpoint=https://live/", "https://own/", "https://own/"),
        ("IngestionEndpoint=https://given/;EndpointSuffix=a.b", "https://own/", "https://given/"),
    ],
)
def test_a_string_without_an_endpoint_is_completed(
    text: str, own: str | None, endpoint: str | None
) -> None:
    before = parse(f"InstrumentationKey={KEY};{text}")
    after = completed(before, own)
    assert after.ingestion_endpoint == endpoint
    assert set(before.pairs) <= set(after.pairs)
    assert destination(after.normalised).endpoint == endpoint or endpoint is None
    assert completed(after, own) == after


@pytest.mark.parametrize(
    ("before", "told"),
    [
        (FULL, ""),
        (f"{FULL};", "trailing ';' removed"),
        (f"{FULL}\n", "spaces removed"),
        (FULL.replace("=", " ="), "spaces removed"),
        (FULL.replace(";", ";;"), "empty part removed"),
        (f'"{FULL}"', "quotes removed"),
        (f"\ufeff{FULL}", "byte order mark removed"),
        (FULL.replace("Key=", "key=", 1), "InstrumentationKey spelt as the exporter reads it"),
        (f"InstrumentationKey={KEY}", "IngestionEndpoint added"),
        (f"{FULL};AADAudience=s3cret", "AADAudience removed"),
        (f"{FULL};Other=s3cret", "a part removed"),
        (
            FULL.replace("localhost:1/", "localhost:1/s3cret"),
            "the value of IngestionEndpoint differs",
        ),
        (FULL.replace(KEY, KEY[:-1] + "1"), "the value of InstrumentationKey differs"),
        (FULL.replace("localhost:1", "localhost:2"), ""),
        ("s3cret", ""),
    ],
)
def test_what_a_mask_hides_is_told_without_values(before: str, told: str) -> None:
    assert ", ".join(differences(before, parse(FULL))) == told


def test_an_app_configuration_reference_is_told_and_shown() -> None:
    text = "@Microsoft.AppConfiguration(Endpoint=https://shop.azconfig.io; Key=telemetry)"
    assert is_app_configuration_reference(text)
    assert is_reference(text)
    assert mask(text) == text
    assert not is_reference(FULL)


PIPELINE = """\
receivers: {{otlp: {{protocols: {{http: {{endpoint: localhost:4318}}}}}}}}
exporters: {{azuremonitor/x: {{}}, debug: {{}}}}
service: {{pipelines: {{traces: {{receivers: [otlp], exporters: {0}}}}}}}
"""


@pytest.mark.parametrize(
    ("exporters", "uses"),
    [
        ("[debug]", False),
        ("[debug, azuremonitor/x]", True),
        ("[azure_monitor]", True),
        ("'${env:X:-[debug]}'", None),
    ],
)
def test_a_configuration_uses_the_exporter_or_not(exporters: str, uses: bool | None) -> None:
    assert uses_azuremonitor(PIPELINE.format(exporters).encode()) is uses


@pytest.mark.parametrize(
    "service", ["'${env:S}'", "{pipelines: '${env:P}'}", "{pipelines: {traces: '${env:T}'}}"]
)
def test_pipelines_of_the_environment_may_use_the_exporter(service: str) -> None:
    assert uses_azuremonitor(f"service: {service}\n".encode()) is None


def test_the_documented_configuration_signs_in_with_the_sites_identity() -> None:
    data = (ROOT / "docs" / "examples" / "entra-id.yml").read_bytes()
    assert load(data).data == data
    assert uses_azuremonitor(data) is False
    assert uses_azuremonitor(default()) is True


def test_the_documented_exporter_signs_in_with_the_sites_identity() -> None:
    more = (ROOT / "docs" / "examples" / "entra-id-exporter.yml").read_bytes()
    merged = check(read([ConfigFile("default.yml", default()), ConfigFile("more.yml", more)]))
    assert merged.warnings == ()
    assert (uses_azuremonitor(merged.data), signs_in(merged.data)) == (True, True)
    assert not signs_in(default())
    unused = merged.data.replace(b"azuremonitor:", b"azuremonitor/unused:", 1)
    assert not signs_in(unused)


@given(st.text(max_size=60), st.text('InstrumentationKey=;-0 \t\xa0\x1c"', max_size=80))
def test_whatever_is_put_in_order_the_exporter_reads_alike(odd: str, other: str) -> None:
    for text in (odd, other, f"{odd};InstrumentationKey={KEY};{other}"):
        assert all(KEY[:8] not in problem for problem in problems(text))
        try:
            found = parse(text)
        except InvalidConfig:
            continue
        sent = destination(found.normalised)
        assert sent.instrumentation_key == found.instrumentation_key
        assert sent.endpoint == (found.ingestion_endpoint or PUBLIC_ENDPOINT)
