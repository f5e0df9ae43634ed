"""What a configuration that starts does otherwise than its author expects, and plain secrets."""

from __future__ import annotations

import pytest

from azext_otelembed.collector.config import (
    ConfigFile,
    default,
    listening_ports,
    problems,
    read,
    required_variables,
)
from azext_otelembed.collector.plain_secrets import secret_values
from azext_otelembed.collector.problem import Problem

TEXT = """\
receivers:
  otlp: {protocols: {http: {endpoint: "localhost:4318"}}}
RECEIVERS
processors:
  memory_limiter: {limit_mib: 100, check_interval: 1s}
PROCESSORS
exporters:
  azuremonitor: {AZURE}
EXPORTERS
extensions:
  health_check: {endpoint: "localhost:13133"}
EXTENSIONS
service:
  extensions: [health_check, STARTED]
  telemetry: {TELEMETRY}
  pipelines:
    traces:
      receivers: [otlp, RECEIVER]
      processors: [memory_limiter]
      exporters: [azuremonitor]
"""
PASSWORD = "tr0ub4dor"


def filled(**parts: str) -> bytes:
    text = TEXT
    for name in ("RECEIVERS", "PROCESSORS", "EXPORTERS", "EXTENSIONS"):
        text = text.replace(f"{name}\n", f"{parts[name]}\n" if name in parts else "")
    for name in ("AZURE", "TELEMETRY"):
        text = text.replace(name, parts.get(name, ""))
    for name, mark in (("RECEIVER", ", RECEIVER]"), ("STARTED", ", STARTED]")):
        text = text.replace(mark, f", {parts[name]}]" if name in parts else "]")
    return text.encode()


def found(**parts: str) -> list[Problem]:
    return list(problems(read([ConfigFile("", filled(**parts))]), exact=False))


@pytest.mark.parametrize(
    ("setting", "warned"),
    [
        ("connection_string: '${env:APPLICATIONINSIGHTS_CONNECTION_STRING}'", False),
        ("connection_string: '${APPLICATIONINSIGHTS_CONNECTION_STRING}'", False),
        ("connection_string: '${env:APPLICATIONINSIGHTS_CONNECTION_STRING:-x}'", False),
        ("connection_string: '${env:OTHER_CONNECTION_STRING}'", True),
        ("instrumentation_key: '${env:OTHER_KEY}'", True),
        ("endpoint: 'https://westeurope.in.applicationinsights.azure.com'", True),
        ("connection_string: ''", False),
        ("timeout: 3s", False),
    ],
)
def test_a_setting_that_the_app_setting_overrides_is_warned_of(setting: str, warned: bool) -> None:
    warnings = found(AZURE=setting)
    assert [one.is_error for one in warnings] == [False] * warned
    assert all("has no effect: the exporter takes" in one.message for one in warnings)
    assert all(one.line == 6 and one.path.startswith("exporters::azuremonitor") for one in warnings)


@pytest.mark.parametrize(
    "parts",
    [
        {"RECEIVERS": "  zipkin: {endpoint: '0.0.0.0:9411'}", "RECEIVER": "zipkin"},
        {"RECEIVERS": "  tcplog: {listen_address: ':54525'}", "RECEIVER": "tcplog"},
        {
            "RECEIVERS": "  jaeger: {protocols: {grpc: {endpoint: '[::]:14250'}}}",
            "RECEIVER": "jaeger",
        },
        {
            "TELEMETRY": "metrics: {readers: [{pull: {exporter: {prometheus: "
            "{host: 0.0.0.0, port: 8888}}}}]}",
        },
    ],
    ids=lambda parts: next(iter(parts.values())).strip(),
)
def test_an_address_beyond_localhost_is_warned_of(parts: dict[str, str]) -> None:
    (warning,) = found(**parts)
    assert not warning.is_error
    assert warning.line
    assert "localhost" in warning.advice


@pytest.mark.parametrize(
    "parts",
    [
        {"RECEIVERS": "  zipkin: {endpoint: '0.0.0.0:9411'}"},
        {"RECEIVERS": "  redis: {endpoint: 'cache.local:6379'}", "RECEIVER": "redis"},
        {"RECEIVERS": "  zipkin: {endpoint: '${env:A}'}", "RECEIVER": "zipkin"},
    ],
    ids=["not in a pipeline", "remote", "unknown"],
)
def test_addresses_that_are_not_listened_on_are_not_warned_of(parts: dict[str, str]) -> None:
    assert found(**parts) == []


@pytest.mark.parametrize(
    "exporter",
    [
        f"otlp_http/own: {{endpoint: 'https://x', headers: {{api-key: {PASSWORD}}}}}",
        f"otlp_http/own: {{endpoint: 'https://x', headers: {{Authorization: Bearer {PASSWORD}}}}}",
        f"otlp_http/own: {{endpoint: 'https://me:{PASSWORD}@x'}}",
        f"kafka: {{auth: {{sasl: {{username: me, password: {PASSWORD}}}}}}}",
        f"splunk_hec: {{token: {PASSWORD}, endpoint: 'https://x'}}",
        f"own: {{connection: 'Endpoint=sb://x/;SharedAccessKeyName=n;SharedAccessKey={PASSWORD}'}}",
        f"own: {{url: 'https://x/c?sv=1&sig={PASSWORD}'}}",
        f"datadog: {{api: {{site: datadoghq.eu, key: {PASSWORD}}}}}",
        f"otlp_grpc/own: {{endpoint: 'x:1', headers: {{x-honeycomb-team: {PASSWORD}}}}}",
        f"otlp_grpc/own: {{endpoint: 'x:1', headers: {{signoz-ingestion-key: {PASSWORD}}}}}",
        f"otlp_grpc/own: {{endpoint: 'x:1', headers: [{{name: api-key, value: {PASSWORD}}}]}}",
        f"otlp_grpc/own: {{endpoint: 'x:1', headers: {{api-key: '${{env:KEY:-{PASSWORD}}}'}}}}",
        f"otlp_http/own: {{endpoint: '${{env:ADDRESS:-https://me:{PASSWORD}@x}}'}}",
        f"own: {{connection_string: 'sqlserver://sa:p@{PASSWORD}@x:1433'}}",
        f"own: {{url: 'redis://:{PASSWORD}@x:6379'}}",
        f"clickhouse: {{endpoint: 'tcp://x:9000?username=me&password={PASSWORD}'}}",
        f"own: {{datasource: 'host=db user=me password={PASSWORD} dbname=shop'}}",
        f"own: {{datasource: 'me:{PASSWORD}@tcp(db:3306)/shop'}}",
        f"azuredataexplorer: {{application_key: {PASSWORD}}}",
        f"coralogix: {{private_key: {PASSWORD}}}",
        f"own: {{tokens: [{PASSWORD}]}}",
        f"own: {{htpasswd: {{inline: 'me:{PASSWORD}'}}}}",
    ],
)
def test_a_secret_in_the_clear_is_an_error_that_does_not_repeat_it(exporter: str) -> None:
    errors = [one for one in found(EXPORTERS=f"  {exporter}") if one.is_error]
    assert len(errors) == 1
    assert "in plain text; everyone with pull access" in errors[0].message
    assert "${env:NAME}" in errors[0].advice
    assert PASSWORD not in str(errors)
    text = filled(EXPORTERS=f"  {exporter}")
    (secret,) = secret_values(read([ConfigFile("", text)]).root, text.decode())
    assert secret.endswith(PASSWORD)


def test_each_line_of_a_private_key_is_masked() -> None:
    lines = (
        "-----BEGIN RSA PRIVATE KEY-----",
        "tr0ub4dor-tr0ub4dor",
        "-----END RSA PRIVATE KEY-----",
    )
    block = "".join(f"        {line}\n" for line in lines)
    exporter = f"  otlp_grpc/own:\n    endpoint: x:1\n    tls:\n      key_pem: |\n{block}"
    (error,) = (one for one in found(EXPORTERS=exporter) if one.is_error)
    assert error.path == "exporters::otlp_grpc/own::tls::key_pem"
    text = filled(EXPORTERS=exporter)
    assert {*lines} < {*secret_values(read([ConfigFile("", text)]).root, text.decode())}


@pytest.mark.parametrize("part", ["value", "default_value"])
def test_a_header_of_headers_setter_is_a_secret_by_its_key(part: str) -> None:
    extension = (
        f"  headers_setter: {{headers: [{{key: Authorization, {part}: 'Bearer {PASSWORD}'}}]}}"
    )
    (error,) = (one for one in found(EXTENSIONS=extension, STARTED="headers_setter"))
    assert error.is_error
    assert error.path == f"extensions::headers_setter::headers::{part}"


@pytest.mark.parametrize(
    "exporter",
    [
        "otlp_http/own: {endpoint: 'https://x', headers: {api-key: '${env:KEY}'}}",
        "otlp_http/own: {endpoint: 'https://x', headers: {authorization: 'Bearer ${env:KEY}'}}",
        "otlp_http/own: {endpoint: 'https://me:${env:KEY}@x'}",
        "kafka: {auth: {sasl: {username: me, password: ''}}}",
        "kafka: {auth: {sasl: {username: me, password: '****'}}}",
        "own: {bearer_token_file: /etc/token, use_token: true}",
        "own: {password_file: /etc/password, key_file: /etc/key.pem, max_tokens: 5}",
        "own: {password: '${env:PASSWORD:-}', token: '${env:A:-${env:B}}'}",
        "own: {datasource: 'host=db password=${env:PASSWORD} dbname=shop'}",
        "own: {dsn: 'tcp://clickhouse:9000/shop', url: 'mongodb://me@x:1', mail: me@x}",
        r"own: {regex: '^password=(?P<hidden>\S+) pwd=\S+ passwd=.*$'}",
        "own: {headers: [{key: authorization, from_context: authorization}]}",
        "own: {cors: {allowed_headers: [Authorization, X-Api-Key]}}",
        "own: {tls: {cert_pem: '-----BEGIN CERTIFICATE-----'}}",
    ],
)
def test_a_reference_to_a_secret_is_no_error(exporter: str) -> None:
    assert [one for one in found(EXPORTERS=f"  {exporter}") if one.is_error] == []


def test_an_attribute_with_the_name_of_a_secret_is_only_warned_of() -> None:
    processor = "  own: {password: not-a-secret}"
    (warning,) = (one for one in found(PROCESSORS=processor) if "plain text" in one.message)
    assert not warning.is_error


def test_the_ports_and_variables_that_a_configuration_needs() -> None:
    assert listening_ports(default()) == {
        4317: "otlp/grpc",
        4318: "otlp/http",
        13133: "health_check",
    }
    assert required_variables(default()) == ()
    text = filled(
        RECEIVERS="  zipkin: {endpoint: 'localhost:9411'}\n  redis: {endpoint: 'localhost:6379'}",
        RECEIVER="zipkin, redis",
        AZURE="connection_string: '${env:A}', timeout: '${env:B:-3s}', shutdown_timeout: '${C}'",
    )
    assert listening_ports(text) == {4318: "otlp/http", 13133: "health_check", 9411: "zipkin"}
    assert required_variables(text) == ("A", "C")
