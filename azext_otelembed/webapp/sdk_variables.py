"""Environment variables by which an app's OpenTelemetry SDK sends nothing, or elsewhere. Pure.

From OpenTelemetry's specification: "OpenTelemetry Protocol Exporter" (endpoints, their paths,
protocols) and "Environment Variable Specification". Values are never part of a problem: they may
hold secrets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_SIGNALS = ("TRACES", "METRICS", "LOGS")
_LOCAL = ("localhost", "::1", "0.0.0.0")  # noqa: S104  # compared with, not bound to
_GRPC, _HTTP = 4317, 4318
_OFF = ("always_off", "parentbased_always_off")
_RATIO = ("traceidratio", "parentbased_traceidratio")


@dataclass(frozen=True, slots=True)
class VariableProblem:
    """A variable, the problem with its value as a phrase, and a value without the problem."""

    name: str
    problem: str
    wanted: str


def variable_problems(variables: Mapping[str, str]) -> Iterator[VariableProblem]:
    """The variables of an app's environment that keep its telemetry from the collector."""
    if _value(variables, "OTEL_SDK_DISABLED").lower() == "true":
        problem = "turns the OpenTelemetry SDK off: the app sends nothing"
        yield VariableProblem("OTEL_SDK_DISABLED", problem, "false")
    exporters = _value(variables, "OTEL_TRACES_EXPORTER").lower()
    # Metrics and logs are often turned off by intention. Python's SDK has names such as
    # `otlp_proto_http`.
    if _is_known(exporters) and not any(
        one.strip().startswith("otlp") for one in exporters.split(",")
    ):
        problem = "doesn't name `otlp`: the app sends no traces to the collector"
        yield VariableProblem("OTEL_TRACES_EXPORTER", problem, "otlp")
    sampler = _value(variables, "OTEL_TRACES_SAMPLER").lower()
    if sampler in _OFF or (
        sampler in _RATIO and _is_zero(_value(variables, "OTEL_TRACES_SAMPLER_ARG"))
    ):
        problem = "drops every trace: the app sends none to the collector"
        yield VariableProblem("OTEL_TRACES_SAMPLER", problem, "parentbased_always_on")
    for signal in ("", *_SIGNALS):
        name = f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT" if signal else ENDPOINT
        value = _value(variables, name)
        problem = _endpoint_problem(variables, signal, value) if _is_known(value) else ""
        if problem:
            yield VariableProblem(name, problem, _wanted(variables, signal))


def _endpoint_problem(variables: Mapping[str, str], signal: str, value: str) -> str:
    """What is wrong with the endpoint of a signal ("": of all signals); empty for nothing."""
    url = _parse(value)
    host = (url.hostname or "") if url else ""
    if url is None or not (host in _LOCAL or host.startswith("127.")):
        return "isn't localhost: the app sends its telemetry past the embedded collector"
    if url.scheme.lower() == "https":
        return "is https, but the embedded collector speaks plain HTTP on localhost"
    protocol, port = _protocol(variables, signal), url.port
    if protocol == "grpc":
        if port == _HTTP:
            return "is the port for OTLP/HTTP, but the app sends OTLP/gRPC"
        return ""
    if protocol.startswith("http/") and port == _GRPC:
        return "is the port for OTLP/gRPC, but the app sends OTLP/HTTP"
    path = url.path.rstrip("/")
    if not signal and path.endswith(tuple(f"/v1/{one.lower()}" for one in _SIGNALS)):
        return "has a signal's path, to which the SDK appends that path again"
    # Without a protocol it may be gRPC, which has no path.
    if signal and port == _HTTP and not path and protocol.startswith("http/"):
        return f"lacks the path /v1/{signal.lower()}: the SDK appends none to a signal's endpoint"
    return ""


def _wanted(variables: Mapping[str, str], signal: str) -> str:
    if _protocol(variables, signal) == "grpc":
        return f"http://localhost:{_GRPC}"
    # A signal's own endpoint is used as it is, the general one with the signal's path.
    return f"http://localhost:{_HTTP}" + (f"/v1/{signal.lower()}" if signal else "")


def _protocol(variables: Mapping[str, str], signal: str) -> str:
    own = _value(variables, f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL") if signal else ""
    return (own or _value(variables, "OTEL_EXPORTER_OTLP_PROTOCOL")).lower()


def _value(variables: Mapping[str, str], name: str) -> str:
    return variables.get(name, "").strip()


def _is_known(value: str) -> bool:
    """Whether there is a value, and not one that App Service resolves (a Key Vault reference)."""
    return bool(value) and not value.lower().startswith("@microsoft.")


def _parse(value: str) -> SplitResult | None:
    try:
        url = urlsplit(value if "://" in value else f"//{value}")
        _ = url.port  # raises ValueError if it is no number
    except ValueError:
        return None
    return url


def _is_zero(value: str) -> bool:
    return value.strip("0") in ("", ".") and "0" in value
