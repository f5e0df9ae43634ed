"""Hints about an app that sends nothing: its environment, its language, a missing SDK."""

from __future__ import annotations

import pytest

from azext_otelembed.image.image_config import ImageConfig
from azext_otelembed.webapp.sdk_hints import sdk_hints
from azext_otelembed.webapp.sdk_variables import variable_problems

LOCAL = "http://localhost"


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"OTEL_TRACES_EXPORTER": "otlp_proto_http"}, ""),
        ({"OTEL_TRACES_EXPORTER": "none"}, "OTEL_TRACES_EXPORTER"),
        ({"OTEL_TRACES_SAMPLER": "always_off"}, "OTEL_TRACES_SAMPLER"),
        (
            {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.0"},
            "OTEL_TRACES_SAMPLER",
        ),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.10"}, ""),
        ({"OTEL_TRACES_SAMPLER": "traceidratio"}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://localhost:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": f"{LOCAL}:4318"}, ""),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": f"{LOCAL}:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_ENDPOINT",
        ),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"{LOCAL}:4317",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            },
            "OTEL_EXPORTER_OTLP_ENDPOINT",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": f"{LOCAL}:4318/v1/traces"}, "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{LOCAL}:4318/v1/traces"}, ""),
        (
            {
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{LOCAL}:4318",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
            },
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:x"}, "OTEL_EXPORTER_OTLP_ENDPOINT"),
    ],
)
def test_a_variable_by_which_the_collector_gets_nothing_is_a_problem(
    variables: dict[str, str], named: str
) -> None:
    assert [one.name for one in variable_problems(variables)] == ([named] if named else [])


@pytest.mark.parametrize(
    ("command", "variables", "words"),
    [
        (["bundle", "exec", "puma"], {}, "for Ruby"),
        (["/bin/sh", "-c", "exec /usr/bin/node server.js"], {}, "for Node.js"),
        (["/shop"], {"GOLANG_VERSION": "1.26"}, "for Go"),
        (["dotnet", "shop.dll"], {}, "for .NET"),
        (["java", "-jar", "shop.jar"], {}, "for Java"),
        (["apache2-foreground"], {"PHP_VERSION": "8.4"}, "for PHP"),
        (["/shop"], {}, "Neither the image's command nor its environment"),
    ],
)
def test_the_likely_missing_sdk_is_that_of_the_language(
    command: list[str], variables: dict[str, str], words: str
) -> None:
    first, *_, last = sdk_hints(ImageConfig.of({"config": {"Cmd": command}}), variables)
    assert words in first
    assert "docs/apps.md" in last


@pytest.mark.parametrize(
    ("command", "variables"),
    [
        (["opentelemetry-instrument", "gunicorn"], {}),
        (["node", "x.js"], {"NODE_OPTIONS": "--require @opentelemetry/auto-instrumentations-node"}),
        (["java"], {"JAVA_TOOL_OPTIONS": "-javaagent:/opentelemetry-javaagent.jar"}),
        (["php"], {"OTEL_PHP_AUTOLOAD_ENABLED": "true"}),
    ],
)
def test_an_sdk_that_is_started_from_outside_is_not_called_missing(
    command: list[str], variables: dict[str, str]
) -> None:
    (only,) = sdk_hints(ImageConfig.of({"config": {"Cmd": command}}), variables)
    assert "docs/apps.md" in only


def test_a_proxy_without_an_exception_for_localhost_is_named_without_its_value() -> None:
    proxy = {"HTTP_PROXY": "http://u:s3cret@proxy:3128"}
    hints = " ".join(sdk_hints(None, proxy))
    assert "HTTP_PROXY" in hints
    assert "s3cret" not in hints
    assert "HTTP_PROXY" not in " ".join(sdk_hints(None, {**proxy, "NO_PROXY": "localhost"}))
