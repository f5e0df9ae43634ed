"""Configurations, each with the verdict of the checks here and of `otelcol validate`.

`fault` is a part of the first error of the checks, or "" where they accept the configuration.
`collector` says whether the test collector accepts it, and `differs` why the two verdicts are not
the same.
"""

from __future__ import annotations

from dataclasses import dataclass

BASE = """\
receivers:
  otlp:
    protocols:
      http:
      grpc:
processors:
  memory_limiter: {check_interval: 1s, limit_mib: 100}
  batch:
exporters:
  debug:
service:
  pipelines:
    traces:
      receivers: [otlp]
      processors: [memory_limiter, batch]
      exporters: [debug]
"""
PIPELINES = BASE[BASE.index("  pipelines:") :]
WITHOUT_BINARY = "settings of other components are checked by the collector's own `validate` alone"
UNKNOWN_VALUE = "the value comes from an expression, and depends on the environment"
AT_START = "`validate` doesn't listen: the collector exits later, at start"
LACKS = "the test collector has few components"


@dataclass(frozen=True, slots=True)
class Case:
    """A configuration and what is said of it."""

    name: str
    text: bytes
    fault: str = ""
    collector: bool | None = None
    differs: str = ""

    @property
    def collector_accepts(self) -> bool:
        """What `otelcol validate` says: the same as the checks, unless the case says otherwise."""
        return not self.fault if self.collector is None else self.collector


def changed(*changes: tuple[str, str]) -> bytes:
    """The base configuration with replacements."""
    text = BASE
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text.encode()


def accepted(name: str, *changes: tuple[str, str]) -> Case:
    """A change of the base that both accept."""
    return Case(name, changed(*changes))


def refused(name: str, fault: str, *changes: tuple[str, str]) -> Case:
    """A change of the base that both refuse."""
    return Case(name, changed(*changes), fault)


def service(text: str) -> tuple[str, str]:
    """Adds a line to the section `service`."""
    return ("service:\n", f"service:\n  {text}\n")


def batch(settings: str) -> tuple[str, str]:
    """Replaces the settings of `batch`."""
    return ("  batch:\n", f"  batch: {settings}\n")


def limiter(settings: str) -> tuple[str, str]:
    """Replaces the settings of `memory_limiter`."""
    return ("{check_interval: 1s, limit_mib: 100}", f"{{{settings}}}")


def exporter(text: str) -> tuple[str, str]:
    """Adds an exporter."""
    return ("  debug:\n", f"  debug:\n  {text}\n")


def verbosity(value: str) -> tuple[str, str]:
    """Sets the verbosity of the debug exporter, in double quotes."""
    return ("  debug:\n", f'  debug: {{verbosity: "{value}"}}\n')


YAML = (
    accepted("the base"),
    Case("two documents", (BASE + "---\nfoo: bar\n").encode()),
    Case("two documents, the second no YAML", (BASE + "---\n a: [b\n").encode()),
    Case("an end of the document", (BASE + "...\n").encode()),
    Case("an empty first document", ("---\n---\n" + BASE).encode(), "is empty"),
    Case("UTF-16 as Windows PowerShell writes it", BASE.encode("utf-16")),
    Case("UTF-16, big endian", b"\xfe\xff" + BASE.encode("utf-16-be")),
    Case("UTF-16 without byte order mark", BASE.encode("utf-16-le"), "control character"),
    Case("a byte order mark", b"\xef\xbb\xbf" + BASE.encode()),
    Case("a byte order mark inside", changed(("[otlp]", "[otlp] # \ufeff"))),
    Case("Latin-1", changed(("debug:", "debug: # \xe9")).decode().encode("latin-1"), "not UTF-8"),
    Case("line ends of Windows", BASE.replace("\n", "\r\n").encode()),
    Case("line ends of the old Mac", BASE.replace("\n", "\r").encode()),
    accepted("a tab behind a value", ("[otlp]", "[otlp]\t")),
    accepted("a tab before a comment", ("[otlp]", "[otlp]\t# x")),
    refused("a tab as indentation", "not valid YAML", ("  batch:", "\tbatch:")),
    refused("a control character", "control character", ("[otlp]", "[otlp] # \x7f")),
    Case("%YAML 1.1", ("%YAML 1.1\n---\n" + BASE).encode()),
    Case("%YAML 1.2", ("%YAML 1.2\n---\n" + BASE).encode(), "YAML of this version"),
    Case("an empty file", b"", "is empty"),
    Case("comments alone", b"# nothing\n", "is empty"),
    Case("null", b"null\n", "is empty"),
    Case("a list", b"- a\n", "must be a mapping"),
    Case("an empty mapping", b"{}\n", "has no receivers"),
    accepted(
        "anchors and merge keys",
        (
            "  debug:\n",
            "  debug: &d {verbosity: basic}\n  debug/2: {<<: *d, verbosity: detailed}\n",
        ),
    ),
    accepted(
        "a list to merge", ("debug:\n", "debug: &d {verbosity: basic}\n  debug/2: {<<: [*d]}\n")
    ),
    refused("a merge of a scalar", "can only merge", ("  debug:\n", "  debug: {<<: 3}\n")),
    refused(
        "two merge keys", "duplicated", ("debug:\n", "debug: &d {}\n  debug/2: {<<: *d, <<: *d}\n")
    ),
    refused("an alias of nothing", "undefined alias", batch("*x")),
    refused("a key twice", "'batch' is duplicated", ("  batch:\n", "  batch:\n  batch:\n")),
    Case(
        "a section for anchors", b"x-common: &c {verbosity: basic}\n" + changed(), "not a section"
    ),
    Case("a number as section", b"1: x\n" + changed(), "must be text"),
    Case("keys with ::", b"service::telemetry::metrics::level: none\n" + changed()),
    accepted("a setting with ::", ("  batch:\n", "  batch::timeout: 5s\n")),
    accepted(
        "numbers and null as keys",
        exporter("otlphttp: {endpoint: 'http://x', headers: {1: x, ~: y}}"),
    ),
    accepted("a header called port", ("http:", "http: {response_headers: {port: '5'}}")),
)

NAMES = (
    accepted("spaces around names", ("  batch:", '  " batch / x ":'), (", batch]", ", batch/x]")),
    accepted(
        "spaces around references", ("[memory_limiter, batch]", '["memory_limiter ", " batch"]')
    ),
    accepted("a slash in a name", ("  batch:", "  batch/a/b:"), (", batch]", ", batch/a/b]")),
    accepted("an umlaut in a name", ("  batch:", "  batch/größe:"), (", batch]", ", batch/größe]")),
    accepted("a pipeline with a name", ("    traces:", "    traces/a-b.c:")),
    refused("a space in a name", "not a component name", ("  batch:", "  batch/a b:")),
    refused("a symbol in a name", "not a component name", ("  batch:", "  batch/a+b:")),
    refused("an empty name", "not a component name", ("  batch:", "  batch/:")),
    refused("a hyphen in a type", "not a component name", ("  batch:", "  bat-ch:")),
    refused("an expression as a name", "not a component name", ("  batch:", "  ${env:X}:")),
    refused(
        "names that differ in spaces", "configured twice", ("  batch:\n", '  batch:\n  "batch ":\n')
    ),
    refused(
        "a space in a pipeline's name", "not the name of a pipeline", ("  traces:", "  traces/a b:")
    ),
    refused("an upper-case signal", "no known signal", ("    traces:", "    Traces:")),
    refused("profiles", "feature gate", ("    traces:", "    profiles:")),
)

SECTIONS = (
    refused(
        "an unknown section",
        "Did you mean|not a section",
        ("processors:\n  mem", "procesors:\n  mem"),
    ),
    refused(
        "an unknown section that is null",
        "not a section",
        ("receivers:\n  otlp", "foo:\nreceivers:\n  otlp"),
    ),
    refused(
        "a list as section",
        "'exporters' must be a mapping",
        ("exporters:\n  debug:", "exporters:\n  - debug"),
    ),
    refused("no exporters", "no exporters", ("exporters:\n  debug:\n", "exporters:\n")),
    accepted("no connectors", ("exporters:\n", "connectors:\nexporters:\n")),
    refused("a number as settings", "settings of 'batch'", batch("3")),
    refused("a list as settings", "settings of 'batch'", batch("[]")),
    refused("text as settings", "settings of 'batch'", batch('""')),
    accepted("an empty mapping as settings", batch("{}")),
    accepted("an unused processor", ("  batch:\n", "  batch:\n  batch/2: {timeout: 2s}\n")),
    refused(
        "an unused processor that is wrong",
        "greater than zero",
        ("  batch:\n", "  batch:\n  memory_limiter/2: {limit_mib: 9}\n"),
    ),
    refused("an unknown type", "no processor 'foo'", ("  batch:\n", "  batch:\n  foo:\n")),
    refused("an upper-case type", "no processor 'Batch'", ("  batch:", "  Batch:")),
    refused("the logging exporter", "no exporter 'logging'", exporter("logging:")),
    refused(
        "the ballast extension",
        "no extension 'memory_ballast'",
        ("service:\n", "extensions: {memory_ballast: {size_mib: 9}}\nservice:\n"),
    ),
    refused(
        "the opencensus receiver",
        "no receiver 'opencensus'",
        ("receivers:\n  otlp", "receivers:\n  opencensus:\n  otlp"),
    ),
    accepted("a former name of a type", exporter("otlphttp: {endpoint: 'http://x'}")),
    accepted("today's name of a type", exporter("otlp_http: {endpoint: 'http://x'}")),
    Case(
        "azuremonitor",
        changed(exporter("azuremonitor: {maxbatchsize: 100, shutdown_timeout: 1s}")),
    ),
    refused(
        "azuremonitor misspelt",
        "'conection_string' is",
        exporter("azuremonitor: {conection_string: x}"),
    ),
    Case(
        "components of contrib",
        changed(
            (
                "exporters:\n",
                "  filter:\n  tail_sampling:\n  resourcedetection:\nexporters:\n",
            )
        ),
        collector=False,
        differs=LACKS,
    ),
)

SERVICE = (
    refused(
        "no service",
        "no 'service' section",
        ("service:", "extensions:"),
        (
            PIPELINES,
            "",
        ),
    ),
    refused(
        "pipelines that are null",
        "no pipelines",
        (
            PIPELINES,
            "  pipelines:\n",
        ),
    ),
    refused("an unknown key of the service", "'pipeline' is unknown", service("pipeline: {}")),
    refused(
        "an unknown key of a pipeline",
        "'procesors' is unknown",
        ("      processors:", "      procesors:"),
    ),
    Case(
        "a second pipeline that is null",
        changed() + b"    metrics:\n",
        "'metrics' has no receivers",
    ),
    refused("no receivers", "'traces' has no receivers", ("      receivers: [otlp]\n", "")),
    refused(
        "receivers that are null", "'traces' has no receivers", ("receivers: [otlp]", "receivers:")
    ),
    refused(
        "receivers as text", "must be a list of names", ("receivers: [otlp]", "receivers: otlp")
    ),
    refused("receivers as a mapping", "must be a list of names", ("[otlp]", "{otlp: }")),
    refused("a number in a list", "must be a list of names", ("[otlp]", "[otlp, 1]")),
    refused("null in a list", "must be a list of names", ("[otlp]", "[otlp, null]")),
    accepted("a comma too many", ("[otlp]", "[otlp, ]")),
    accepted("processors that are null", ("[memory_limiter, batch]", "")),
    accepted("a receiver twice", ("[otlp]", "[otlp, otlp]")),
    accepted("an exporter twice", ("[debug]", "[debug, debug]")),
    refused("a processor twice", "'batch' twice", ("[memory_limiter, batch]", "[batch, batch]")),
    refused(
        "a processor twice, with a space",
        "'batch' twice",
        ("[memory_limiter, batch]", "[batch, 'batch ']"),
    ),
    refused(
        "an undefined exporter", "exporter 'foo', which is not conf", ("[debug]", "[debug, foo]")
    ),
    refused(
        "an undefined extension",
        "extension 'health_check', which is not",
        service("extensions: [health_check]"),
    ),
    accepted(
        "an extension twice",
        (
            "service:\n",
            "extensions: {health_check: }\nservice:\n  extensions: [health_check, health_check]\n",
        ),
    ),
    accepted(
        "an extension that isn't started",
        ("service:\n", "extensions: {health_check: }\nservice:\n  extensions:\n"),
    ),
    refused(
        "extensions as text",
        "must be a list of names",
        ("service:\n", "extensions: {health_check: }\nservice:\n  extensions: health_check\n"),
    ),
)

TELEMETRY = (
    accepted("no telemetry", service("telemetry:")),
    accepted("a level", service("telemetry: {metrics: {level: NONE}, logs: {level: WARN}}")),
    refused(
        "the address of the metrics",
        "'address' is unknown",
        service("telemetry: {metrics: {address: 'localhost:8888'}}"),
    ),
    refused("an unknown key", "'metric' is unknown", service("telemetry: {metric: {level: none}}")),
    refused(
        "an unknown key of the logs", "'lvl' is unknown", service("telemetry: {logs: {lvl: info}}")
    ),
    refused(
        "an unknown key of the sampling",
        "'foo' is unknown",
        service("telemetry: {logs: {sampling: {foo: 1}}}"),
    ),
    refused(
        "an unknown level", "'level' of metrics", service("telemetry: {metrics: {level: loud}}")
    ),
    refused(
        "an unknown level of the logs",
        "'level' of logs",
        service("telemetry: {logs: {level: loud}}"),
    ),
    refused("metrics as text", "'metrics' must be a mapping", service("telemetry: {metrics: off}")),
    refused("no readers", "need the level none", service("telemetry: {metrics: {readers: []}}")),
    accepted(
        "no readers, and no metrics", service("telemetry: {metrics: {level: none, readers: []}}")
    ),
    accepted(
        "a reader",
        service(
            "telemetry: {metrics: {readers: "
            "[{pull: {exporter: {prometheus: {host: localhost, port: 8888}}}}]}}"
        ),
    ),
    refused(
        "an unknown reader",
        "'pul' is unknown",
        service("telemetry: {metrics: {readers: [{pul: {}}]}}"),
    ),
    refused(
        "views without details",
        "level detailed",
        service("telemetry: {metrics: {views: [{selector: {instrument_name: x}, stream: {}}]}}"),
    ),
    accepted("a resource", service("telemetry: {resource: {service.name: x, service.version: }}")),
    refused("a number in the resource", "must be text", service("telemetry: {resource: {a: 1}}")),
    Case(
        "an unknown encoding",
        changed(service("telemetry: {logs: {encoding: xml}}")),
        "'encoding' of logs",
        True,
        AT_START,
    ),
    Case(
        "an unknown propagator",
        changed(service("telemetry: {traces: {propagators: [B3]}}")),
        "'propagators' of traces",
        True,
        AT_START,
    ),
)

EXPRESSIONS = (
    accepted("a list by default", ("[otlp]", "${env:R:-[otlp]}")),
    accepted("a name by default", ("[otlp]", '["${env:R:-otlp}"]')),
    accepted("a part of a name", ("[otlp]", '["ot${env:R:-lp}"]')),
    accepted("settings from YAML", batch('"${yaml:timeout: 1s}"')),
    accepted("settings from the environment", batch("${env:B}")),
    accepted("one inside of another", verbosity("${env:A:-${env:B:-basic}}")),
    accepted(
        "a dollar sign", exporter("otlphttp: {endpoint: 'http://x', headers: {a: 'p$ss$$w'}}")
    ),
    accepted(
        "an escaped one hides the next",
        exporter("otlphttp: {endpoint: 'http://x', headers: {a: '$${vault:x} ${bad:y}'}}"),
    ),
    refused(
        "three dollar signs",
        "doesn't know",
        exporter("otlphttp: {endpoint: 'http://x', headers: {a: '$$${vault:x}'}}"),
    ),
    refused("an unknown scheme", "doesn't know '\\${vault:…}'", verbosity("${vault:x}")),
    refused("a scheme of one letter", "neither the form", verbosity("${a:x}")),
    refused("a default without scheme", "neither the form", verbosity("${V:-basic}")),
    refused(
        "a hyphen in a variable", "name of an environment variable", verbosity("${env:my-var}")
    ),
    refused("no variable", "name of an environment variable", verbosity("${env:}")),
    refused(
        "a group of a regular expression", "name of an environment variable", verbosity("a${1}")
    ),
    refused("a dollar sign inside", "stands inside", verbosity("${env:A$B}")),
    Case(
        "a scheme of contrib",
        changed(verbosity("${https://example.com/x}")),
        collector=False,
        differs=LACKS,
    ),
    Case(
        "an absent file",
        changed(batch("${file:/nonexistent.yml}")),
        collector=False,
        differs=UNKNOWN_VALUE,
    ),
    Case(
        "receivers from an unset variable",
        changed(("[otlp]", "${env:R}")),
        collector=False,
        differs=UNKNOWN_VALUE,
    ),
    Case(
        "a size from the environment",
        changed(batch("{send_batch_max_size: '${env:X:-10}'}")),
        collector=False,
        differs=UNKNOWN_VALUE,
    ),
)

SETTINGS = (
    refused("no interval", "'check_interval' of", limiter("limit_mib: 100")),
    refused(
        "an interval of 0", "'check_interval' of", limiter("check_interval: 0s, limit_mib: 100")
    ),
    accepted("an interval in nanoseconds", limiter("check_interval: 1, limit_mib: 100")),
    accepted("a combined interval", limiter("check_interval: 1m30.5s, limit_mib: 100")),
    refused("days", "is not a duration", limiter("check_interval: 1d, limit_mib: 100")),
    refused(
        "a space before the unit",
        "is not a duration",
        limiter("check_interval: 1 s, limit_mib: 100"),
    ),
    refused("no limit", "neither a 'limit_mib'", limiter("check_interval: 1s")),
    refused(
        "a limit in quotes", "must be a number", limiter("check_interval: 1s, limit_mib: '100'")
    ),
    refused(
        "a limit with a unit", "must be a number", limiter("check_interval: 1s, limit_mib: 100MiB")
    ),
    refused("a limit of 0", "must be a number from 1", limiter("check_interval: 1s, limit_mib: 0")),
    accepted("a limit as float", limiter("check_interval: 1s, limit_mib: 1e2")),
    accepted("a hexadecimal limit", limiter("check_interval: 1s, limit_mib: 0x64")),
    accepted("both limits", limiter("check_interval: 1s, limit_mib: 9, limit_percentage: 50")),
    refused(
        "a spike as large as the limit",
        "must be smaller",
        limiter("check_interval: 1s, limit_mib: 9, spike_limit_mib: 9"),
    ),
    refused(
        "more than 100 %", "from 1 to 100", limiter("check_interval: 1s, limit_percentage: 101")
    ),
    refused(
        "an unknown key of the limiter",
        "'ballast_size_mib' is unknown",
        limiter("check_interval: 1s, limit_mib: 9, ballast_size_mib: 1"),
    ),
    refused(
        "intervals of the collection",
        "must not be longer",
        limiter("check_interval: 1s, limit_mib: 9, min_gc_interval_when_hard_limited: 20s"),
    ),
    refused(
        "a batch below its size",
        "smaller than 'send_batch_size' \\(default",
        batch("{send_batch_max_size: 1000}"),
    ),
    refused(
        "a batch below its given size",
        "smaller than 'send_batch_size'",
        batch("{send_batch_size: 0x10, send_batch_max_size: 010}"),
    ),
    accepted("a batch of its size", batch("{send_batch_max_size: 8_192}")),
    accepted("a batch without size", batch("{send_batch_size: 0, send_batch_max_size: 10}")),
    refused("an unknown key of batch", "'tiemout' is unknown", batch("{tiemout: 1s}")),
    refused("a negative timeout", "must not be negative", batch("{timeout: -1s}")),
    refused("a size in quotes", "must be a number", batch("{send_batch_size: '10'}")),
    refused("a key twice in metadata", "'a' twice", batch("{metadata_keys: [a, A]}")),
    refused(
        "no protocol",
        "at least one protocol",
        ("    protocols:\n      http:\n      grpc:\n", "    protocols:\n"),
    ),
    refused(
        "no settings of otlp",
        "at least one protocol",
        ("    protocols:\n      http:\n      grpc:\n", ""),
    ),
    refused("an unknown protocol", "unknown protocol 'thrift'", ("      http:", "      thrift:")),
    refused(
        "a protocol outside of protocols",
        "'http' is unknown",
        ("    protocols:\n      http:\n", "    http:\n    protocols:\n"),
    ),
    refused("a port as endpoint", "must be an address", ("http:", "http: {endpoint: 4318}")),
    refused(
        "a port as endpoint of an exporter",
        "must be an address",
        exporter("otlphttp: {endpoint: 4318}"),
    ),
    refused(
        "a port of an extension",
        "must be an address",
        ("service:\n", "extensions: {health_check: {endpoint: 13133}}\nservice:\n"),
    ),
    refused(
        "the former setting port",
        "no setting 'port'",
        ("service:\n", "extensions: {health_check: {port: 13133}}\nservice:\n"),
    ),
    Case(
        "a host without port",
        changed(("http:", "http: {endpoint: localhost}")),
        "host:port",
        True,
        AT_START,
    ),
    Case(
        "a URL as endpoint",
        changed(("http:", "http: {endpoint: 'http://localhost:4318'}")),
        "host:port",
        True,
        AT_START,
    ),
    Case(
        "IPv6 without brackets",
        changed(("http:", "http: {endpoint: '::1:4318'}")),
        "host:port",
        True,
        AT_START,
    ),
    Case(
        "a port above 65535",
        changed(("http:", "http: {endpoint: 'localhost:99999'}")),
        "host:port",
        True,
        AT_START,
    ),
    Case(
        "one port twice",
        changed(("http:", "http: {endpoint: '127.0.0.1:4317'}")),
        "both listen",
        True,
        AT_START,
    ),
    Case(
        "the port of the own metrics",
        changed(("http:", "http: {endpoint: 'localhost:8888'}")),
        "own metrics",
        True,
        AT_START,
    ),
    refused(
        "a misspelt endpoint",
        "'endpiont' is unknown",
        ("http:", "http: {endpiont: 'localhost:4318'}"),
    ),
    refused("a port of otlp", "'port'", ("grpc:", "grpc: {port: 4317}")),
    refused(
        "an unknown key of debug",
        "'traces' is unknown",
        ("  debug:\n", "  debug: {traces: true}\n"),
    ),
    refused(
        "an unknown key of otlp_http",
        "'endpoints' is unknown",
        exporter("otlp_http: {endpoints: 'http://x'}"),
    ),
    accepted("one port on two addresses", ("http:", "http: {endpoint: '[::1]:4317'}")),
    accepted("a socket", ("grpc:", "grpc: {transport: unix, endpoint: /tmp/x.sock}")),
    accepted("a random port", ("http:", "http: {endpoint: ''}")),
    Case(
        "a number as header",
        changed(exporter("otlphttp: {endpoint: 'http://x', headers: {a: 1}}")),
        collector=False,
        differs=WITHOUT_BINARY,
    ),
    Case(
        "yes as a bool",
        changed(exporter("otlphttp: {endpoint: 'http://x', tls: {insecure: yes}}")),
        collector=False,
        differs=WITHOUT_BINARY,
    ),
)

QUEUE = exporter("otlphttp: {endpoint: 'http://x', sending_queue: {storage: health_check}}")
AUTHENTICATOR = exporter("otlphttp: {endpoint: 'http://x', auth: {authenticator: oidc}}")
USED = ("[debug]", "[debug, otlphttp]")
HEALTH = ("exporters:\n", "extensions: {health_check: }\nexporters:\n")
REFERENCES = (
    accepted("an authenticator of an unused exporter", AUTHENTICATOR),
    accepted(
        "a storage from the environment",
        exporter("otlphttp: {endpoint: 'http://x', sending_queue: {storage: '${env:S:-a}'}}"),
        USED,
    ),
    accepted("an extension that runs", QUEUE, USED, HEALTH, service("extensions: [health_check]")),
    Case(
        "an authenticator that isn't configured",
        changed(AUTHENTICATOR, USED),
        "uses the extension 'oidc'",
        True,
        AT_START,
    ),
    Case(
        "a storage that isn't started",
        changed(QUEUE, USED, HEALTH),
        "uses the extension 'health_check'",
        True,
        AT_START,
    ),
    Case(
        "an authenticator of a receiver",
        changed(("http:", "http: {auth: {authenticator: oidc}}")),
        "uses the extension 'oidc'",
        True,
        AT_START,
    ),
)
_TWO = """\
receivers:
  otlp: {protocols: {http: }}
connectors:
  forward:
  forward/2:
exporters:
  debug:
service:
  pipelines:
    traces/in: {receivers: [otlp], exporters: [forward]}
    traces/out: {receivers: [forward], exporters: [debug]}
"""
CONNECTORS = (
    Case("a connector", _TWO.encode()),
    Case("a connector that no pipeline uses", _TWO.replace("forward/2:", "forward/x:").encode()),
    Case(
        "three pipelines in a row",
        (
            _TWO.replace("[debug]}", "[forward/2]}")
            + "    traces/end: {receivers: [forward/2], exporters: [debug]}\n"
        ).encode(),
    ),
    Case(
        "exporters from the environment",
        _TWO.replace("exporters: [forward]", "exporters: ['${env:E:-forward}']").encode(),
    ),
    Case(
        "a connector without receiver",
        _TWO.replace("s: [forward], exporters: [d", "s: [otlp], exporters: [d").encode(),
        "receivers of none",
    ),
    Case(
        "a connector without exporter",
        _TWO.replace("exporters: [forward]", "exporters: [debug]").encode(),
        "exporters of none",
    ),
    Case(
        "a connector to its own pipeline",
        _TWO.replace("[debug]}", "[debug, forward/2]}")
        .replace("[otlp]", "[otlp, forward/2]")
        .encode(),
        "in a circle",
    ),
    Case(
        "a connector and an exporter of one name",
        _TWO.replace("  debug:\n", "  debug:\n  forward:\n").encode(),
        "connector and of one of the exporters|no exporter",
    ),
)

CASES = (
    *(YAML + NAMES + SECTIONS + SERVICE),
    *(TELEMETRY + EXPRESSIONS + SETTINGS + REFERENCES + CONNECTORS),
)
