"""Checking a collector's configuration before it is put into an image."""

from __future__ import annotations

import re
import time

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from azext_otelembed.collector import config
from azext_otelembed.errors import InvalidConfig

GOOD = """\
receivers:
  otlp:
    protocols:
      http:
processors:
  memory_limiter: {limit_mib: 100, check_interval: 1s}
exporters:
  azuremonitor:
service:
  pipelines:
    traces:
      receivers: [otlp]
      processors: [memory_limiter]
      exporters: [azuremonitor]
"""
KEY = "12345678-1234-1234-1234-123456789abc"


def changed(old: str, new: str) -> bytes:
    assert old in GOOD
    return GOOD.replace(old, new).encode()


def problem(text: bytes) -> InvalidConfig:
    with pytest.raises(InvalidConfig) as caught:
        config.load(text)
    return caught.value


@pytest.mark.parametrize("levels", [1, 4])
def test_keys_with_many_delimiters_are_nested_too_deeply(levels: int) -> None:
    key = f"a{'::a' * 300}"
    text = "".join(f"{'  ' * level}{key}:\n" for level in range(levels))
    found = problem(f"{text}{'  ' * levels}b: 1\n".encode())
    assert found.message.endswith("too large or nested too deeply.")
    assert found.line == 1


def test_loading_gives_the_default_configuration_or_the_checked_one() -> None:
    assert config.load(None) == config.load(config.default())
    assert config.load(None).warnings == ()
    assert config.load(GOOD.encode()) == config.CollectorConfig(GOOD.encode(), 80)


def test_the_default_configuration_is_as_designed() -> None:
    default = yaml.safe_load(config.default())
    protocols = default["receivers"]["otlp"]["protocols"]
    assert protocols["grpc"]["endpoint"] == "localhost:4317"
    assert protocols["http"]["endpoint"] == "localhost:4318"
    assert default["extensions"]["health_check"]["endpoint"] == "localhost:13133"
    metrics = default["service"]["telemetry"]["metrics"]
    assert metrics["level"] == "${env:OTELEMBED_COLLECTOR_METRICS:-none}"
    assert metrics["readers"] == [{"periodic": {"interval": 600_000, "exporter": {"console": {}}}}]
    for pipeline in default["service"]["pipelines"].values():
        assert pipeline["processors"] == ["memory_limiter", "resource", "batch"]
        assert pipeline["exporters"] == ["azuremonitor"]
    assert set(default["service"]["pipelines"]) == {"traces", "metrics", "logs"}
    assert default["exporters"]["azuremonitor"] == {
        "connection_string": "${env:APPLICATIONINSIGHTS_CONNECTION_STRING}",
        "timeout": "10s",
        "sending_queue": {"enabled": False},
    }
    limiter = default["processors"]["memory_limiter"]
    # Go's own limit (80 %) is above the limit from which data is refused.
    assert limiter["limit_mib"] - limiter["spike_limit_mib"] < limiter["limit_mib"] * 0.8


CONNECTED = (
    GOOD.replace("exporters: [azuremonitor]", "exporters: [azuremonitor, spanmetrics]")
    .replace("service:", "connectors:\n  spanmetrics:\nservice:")
    .encode()
    + b"    metrics:\n      receivers: [spanmetrics]\n      exporters: [azuremonitor]\n"
)
MERGED = changed("azuremonitor:\n", "azuremonitor: &a {timeout: 1s}\n  azuremonitor/2: {<<: *a}\n")
MERGED = MERGED.replace(b"exporters: [", b"exporters: [azuremonitor/2, ")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (b"", None, "empty"),
        (b"# nothing\n", None, "empty"),
        (b"- a\n", 1, "must be a mapping"),
        (b"just text", 1, "must be a mapping"),
        (b"a: [1\nb: 2\n", 2, "not valid YAML"),
        (b"a: 1\n\tb: 2\n", 2, "not valid YAML"),
        (b"a: *nowhere\n", 1, "undefined alias"),
        (b"a: 1\nb: \x07\n", 2, "control character"),
        (b"a: 1\nb: \xff\n", 2, "not UTF-8"),
        (GOOD.encode("utf-16-le"), 1, "not valid YAML: a control character"),
        (b"\xff\xfea", None, "not UTF-16 text"),
        (b"%YAML " + b"9" * 5000 + b".1\n---\na: 1\n", 1, "extremely long version number"),
        (b"%YAML 1.2\n---\na: 1\n", 1, "doesn't read YAML of this version"),
        (b'a: "\\UFFFFFFFF"\n', 1, "invalid Unicode character escape code"),
        (b"a: \0", 1, "control character"),
        (b"[" * 20_000, 1, "maximum nesting depth"),
        (b"a: &a [*a]\n", 1, "one inside of its own anchor"),
        (b"? [a]\n: 1\n", 1, "a key must be plain text"),
        (b"<<: 3\n", 1, "can only merge mappings"),
        (b"receivers:\nreceivers:\n", 2, "'receivers' is duplicated"),
        (b"x" * 49_153, None, "at most 49152"),
        (changed("exporters:\n", "exporterz:\n"), 7, "'exporterz' is not a section"),
        (changed("  azuremonitor:\n", "  - azuremonitor\n"), 7, "'exporters' must be a mapping"),
        (changed("  azuremonitor:\n", "  azuremonitor: 3\n"), 8, "settings of 'azuremonitor'"),
        (changed("  azuremonitor:\n", "  azure monitor:\n"), 8, "not a component name"),
        (GOOD.partition("service:")[0].encode(), None, "no 'service' section"),
        (GOOD.partition("  pipelines:")[0].encode() + b"  telemetry:\n", 9, "no pipelines"),
        (changed("    traces:", "    spans:"), 11, "pipeline 'spans' has no known signal"),
        (changed("      receivers: [otlp]\n", ""), 11, "pipeline 'traces' has no receivers"),
        (changed("exporters: [azuremonitor]", "exporters: []"), 11, "'traces' has no exporters"),
        (changed("receivers: [otlp]", "receivers: otlp"), 12, "must be a list of names"),
        (changed("receivers: [otlp]", "receivers: [[otlp]]"), 12, "must be a list of names"),
        (
            changed("receivers: [otlp]", "receivers:\n      - otlp\n      - jaeger"),
            14,
            "references receiver 'jaeger', which is not configured",
        ),
        (changed("[memory_limiter]", "[batch]"), 13, "references processor 'batch'"),
        (changed("[azuremonitor]", "[otlphttp]"), 14, "references exporter 'otlphttp'"),
        (
            changed("service:\n", "service:\n  extensions: [health_check]\n"),
            10,
            "extension 'health_check', which is not configured",
        ),
        (changed("    protocols:\n      http:\n", ""), 2, "at least one protocol"),
        (changed("      http:\n", "      thrift:\n"), 4, "unknown protocol 'thrift'"),
        (
            changed("http:\n", "http:\n        endpoint: localhost\n"),
            5,
            "must listen on host:port, e.g. localhost:4318",
        ),
        (
            changed("http:\n", "http: {endpoint: 'localhost:4317'}\n      grpc:\n"),
            5,
            "both listen on port 4317",
        ),
    ],
)
def test_what_cannot_work_is_refused_with_its_line(
    text: bytes, line: int | None, message: str
) -> None:
    found = problem(text)
    assert re.search(message, found.message), found.message
    assert found.message.startswith(f"line {line}: ") == (line is not None)


@pytest.mark.parametrize(
    "value",
    [
        f"connection_string: InstrumentationKey={KEY};IngestionEndpoint=https://x/",
        f"connection_string: 'instrumentationkey = {KEY}'",
        f"instrumentation_key: {KEY}",
        f'instrumentation_key: "{KEY}"',
        f"# InstrumentationKey={KEY}",
        f"instrumentation_key: {KEY.replace('-', '')}",
    ],
)
def test_an_instrumentation_key_in_plain_text_is_refused_and_not_repeated(value: str) -> None:
    found = problem(changed("  azuremonitor:\n", f"  azuremonitor:\n    {value}\n"))
    assert found.message.startswith("line 9: ")
    assert "in plain text" in found.message
    assert "${env:APPLICATIONINSIGHTS_CONNECTION_STRING}" in str(found.recommendation)
    assert KEY[:8] not in f"{found.message}{found.recommendation}"


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (
            changed("http:\n", "http: {endpoint: '0.0.0.0:4318'}\n"),
            "'otlp/http' listens on 0.0.0.0:4318, which is not only",
        ),
        (changed("http:\n", "http: {endpoint: ':4318'}\n"), "listens on :4318, which is not only"),
        (changed("http:\n", "http: {endpoint: 'localhost:9999'}\n"), "Nothing listens on port"),
        (
            changed("http:\n", "http: {endpoint: }\n      grpc:\n"),
            "Line 4: 'otlp/http' listens on a random port",
        ),
        (changed("      processors: [memory_limiter]\n", ""), None),
        (changed("processors: [memory_limiter]", "processors: []"), "pass a memory_limiter"),
        (
            changed("azuremonitor:\n", "debug:\n").replace(b"[azuremonitor]", b"[debug]"),
            "No pipeline exports to 'azuremonitor'",
        ),
    ],
)
def test_what_is_odd_is_warned_of(text: bytes, warning: str | None) -> None:
    warnings = config.load(text).warnings
    assert len(warnings) == 1, warnings
    assert warning is None or warning in warnings[0]


@pytest.mark.parametrize(
    "text",
    [
        GOOD.encode(),
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.replace("\n", "\r\n").encode(),
        CONNECTED,
        MERGED,
        changed("http:\n", "http: {endpoint: '127.0.0.1:4318'}\n"),
        changed("http:\n", "http: {endpoint: '[::1]:4318'}\n"),
        changed("http:\n", "http: {endpoint: '${env:HOST}:4318'}\n"),
        changed("  azuremonitor:\n", "  azuremonitor:\n  otlp: {headers: {api_key: '${env:K}'}}\n"),
        GOOD.encode("utf-16"),
        b"\xfe\xff" + GOOD.encode("utf-16-be"),
        changed(
            "exporters:\n", "extensions: {health_check: {endpoint: 'localhost:4318'}}\nexporters:\n"
        ),
        changed("  otlp:\n", "  redis: {endpoint: 'localhost:4318'}\n  otlp:\n"),
    ],
)
def test_what_is_fine_is_not_warned_of(text: bytes) -> None:
    assert config.load(text).warnings == ()


@pytest.mark.parametrize(
    ("limiter", "message"),
    [
        ("{limit_mib: 0}", "'limit_mib' of 'memory_limiter' must be a number from 1 to 4294967295"),
        ("{limit_mib: -5}", "'limit_mib' of 'memory_limiter' must be a number from 1"),
        ("{limit_mib: 4294967296}", "must be a number from 1 to 4294967295"),
        (f"{{limit_mib: {'9' * 5000}}}", "must be a number from 1 to 4294967295"),
        ("{limit_percentage: 101}", "'limit_percentage' of 'memory_limiter' must be a number from"),
        ("{limit_mib: 9, spike_limit_mib: -1}", "'spike_limit_mib' of 'memory_limiter' must be"),
        ("{limit_mib: 9, spike_limit_mib: 9}", "'spike_limit_mib' of 'memory_limiter' must be sm"),
        ("{limit_mib: '512'}", "'limit_mib' of 'memory_limiter' must be a number"),
        ("{limit_mib: ²}", "'limit_mib' of 'memory_limiter' must be a number"),
        ("{}", "'memory_limiter' has neither a 'limit_mib' nor a 'limit_percentage'"),
    ],
)
def test_limits_with_which_the_collector_exits_are_refused(limiter: str, message: str) -> None:
    with pytest.raises(InvalidConfig, match=message):
        config.load(changed("limit_mib: 100", limiter.strip("{}") or "limit_mib: "))


@pytest.mark.parametrize(
    ("limiter", "expected"),
    [
        *(("limit_mib: 100", 80), ("limit_mib: 512", 409), ("limit_mib: 0x64", 80)),
        *(("limit_percentage: 50", None), ("limit_mib: '${env:LIMIT}'", None)),
        *(("limit_mib: 1_0", 8), ("limit_mib: 4294967295", 3435973836)),
    ],
)
def test_gomemlimit_follows_the_memory_limiter_of_a_pipeline(
    limiter: str, expected: int | None
) -> None:
    text = changed("limit_mib: 100", limiter)
    assert config.load(text).memory_mib == expected
    unused = text.replace(b"processors: [memory_limiter]", b"")
    assert config.load(unused).memory_mib is None


def test_a_document_that_repeats_itself_without_end_is_refused_quickly() -> None:
    levels = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))
    started = time.monotonic()
    found = problem(f"a0: &a0 [1, 2, 3]\n{levels}\n".encode())
    assert "too large" in found.message
    assert time.monotonic() - started < 5


@settings(deadline=None)
@given(
    st.binary(max_size=80)
    | st.text("ab:[]{}-&*!|>%@`'\"\n\t #,?<=~\\0", max_size=60).map(str.encode)
)
@example(b"!!python/object:os.system x")
@example(b"a: !!binary =\n")
@example(b"%YAML 9.9\n---\n")
@example(b"? ")
def test_any_bytes_are_a_configuration_or_a_problem(text: bytes) -> None:
    with pytest.raises(InvalidConfig):
        config.load(text)


@settings(deadline=None)
@given(st.data())
def test_any_change_of_one_line_is_checked_without_a_crash(data: st.DataObject) -> None:
    lines = config.default().decode().splitlines()
    lines = [line for line in lines if "#" not in line]
    at = data.draw(st.integers(0, len(lines) - 1))
    new = data.draw(st.sampled_from(["", "x", "- x", "x:", "  x: [", *lines]))
    lines[at] = new
    try:
        config.load("\n".join(lines).encode())
    except InvalidConfig as found:
        message = found.message
        assert message
