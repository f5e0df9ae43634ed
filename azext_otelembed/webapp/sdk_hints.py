"""What is likely missing in an app from which no telemetry arrives. Pure.

An image's configuration shows its language and whether an OpenTelemetry SDK is started from outside
of the code ("Zero-code Instrumentation", opentelemetry.io). An SDK in the code can't be seen.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from azext_otelembed.image.image_config import ImageConfig
from azext_otelembed.image.launcher import unwrap_entrypoint

DOCS = "docs/apps.md"


@dataclass(frozen=True, slots=True)
class _Language:
    """A language: the variables of its official image, its programs, what an app needs."""

    name: str
    variables: tuple[str, ...]
    programs: tuple[str, ...]
    needs: str


_LANGUAGES = (
    _Language(
        "Ruby",
        ("RUBY_VERSION",),
        ("ruby", "bundle", "rails", "puma", "rackup", "unicorn"),
        "the gems opentelemetry-sdk, opentelemetry-exporter-otlp and "
        "opentelemetry-instrumentation-all, and an initializer that calls "
        "OpenTelemetry::SDK.configure",
    ),
    _Language(
        "Python",
        ("PYTHON_VERSION",),
        ("python", "python3", "gunicorn", "uvicorn", "flask", "celery"),
        "the packages opentelemetry-distro and opentelemetry-exporter-otlp, and a start with "
        "opentelemetry-instrument",
    ),
    _Language(
        "Node.js",
        ("NODE_VERSION",),
        ("node", "npm", "yarn", "pnpm"),
        "the package @opentelemetry/auto-instrumentations-node, loaded with "
        "NODE_OPTIONS=--require @opentelemetry/auto-instrumentations-node/register",
    ),
    _Language(
        "Go",
        ("GOLANG_VERSION",),
        (),
        "the module go.opentelemetry.io/otel/sdk with an OTLP exporter, set up in main",
    ),
    _Language(
        ".NET",
        ("DOTNET_VERSION", "ASPNET_VERSION"),
        ("dotnet",),
        "the packages OpenTelemetry.Extensions.Hosting and "
        "OpenTelemetry.Exporter.OpenTelemetryProtocol, and AddOpenTelemetry in the program",
    ),
    _Language(
        "Java",
        ("JAVA_VERSION", "JAVA_HOME"),
        ("java", "catalina.sh"),
        "the OpenTelemetry Java agent: JAVA_TOOL_OPTIONS=-javaagent:<path>",
    ),
    _Language(
        "PHP",
        ("PHP_VERSION",),
        ("php", "php-fpm", "apache2-foreground"),
        "the extension opentelemetry, the package open-telemetry/sdk, and "
        "OTEL_PHP_AUTOLOAD_ENABLED=true",
    ),
)
_STARTED_BY = (
    *("NODE_OPTIONS", "JAVA_TOOL_OPTIONS", "RUBYOPT", "PYTHONPATH"),
    *("OTEL_DOTNET_AUTO_HOME", "OTEL_PHP_AUTOLOAD_ENABLED"),
)
"""Variables that load an SDK, if they name OpenTelemetry."""


def sdk_hints(config: ImageConfig | None, variables: Mapping[str, str]) -> tuple[str, ...]:
    """Sentences about what may be missing, the likeliest first; the last names the documentation.

    `config` is the image's, None if it wasn't read; `variables` are those of the app's process.
    """
    return tuple(_hints(config, variables))


def _hints(config: ImageConfig | None, variables: Mapping[str, str]) -> Iterator[str]:
    words = _words(config) if config else ()
    language = _language(words, variables) if config else None
    if not _is_started(words, variables):
        start = "Neither the image's command nor its environment starts an OpenTelemetry SDK"
        if language:
            start = (
                f"The image looks like one for {language.name}: such an app needs "
                f"{language.needs}; neither its command nor its environment starts an "
                "OpenTelemetry SDK"
            )
        yield f"{start}, but the code may."
    proxies = [name for name in ("HTTP_PROXY", "http_proxy") if variables.get(name)]
    direct = f"{variables.get('NO_PROXY', '')},{variables.get('no_proxy', '')}"
    if proxies and not any(one.strip() in ("localhost", "*") for one in direct.split(",")):
        yield (
            f"The app has {proxies[0]} and no NO_PROXY with localhost: some exporters (Python's) "
            "then send to the proxy instead of the collector."
        )
    for name in ("OTEL_CONFIG_FILE", "OTEL_EXPERIMENTAL_CONFIG_FILE"):
        if variables.get(name):
            yield f"{name} is set: the SDK reads that file and ignores other OTEL_ variables."
    yield f"What an app has to do: {DOCS}."


def _words(config: ImageConfig) -> Sequence[str]:
    """The app's start command in its image."""
    entrypoint = unwrap_entrypoint(config.entrypoint)
    return [*(config.entrypoint if entrypoint is None else entrypoint), *config.cmd]


def _language(words: Sequence[str], variables: Mapping[str, str]) -> _Language | None:
    """By the program that starts, else by the variables of the official image."""
    programs = {posixpath.basename(word) for text in words for word in text.split()}
    for language in _LANGUAGES:
        if programs.intersection(language.programs):
            return language
    return next(
        (one for one in _LANGUAGES if any(name in variables for name in one.variables)), None
    )


def _is_started(words: Sequence[str], variables: Mapping[str, str]) -> bool:
    """Whether command or environment load an SDK."""
    return any("opentelemetry" in word.lower() for word in words) or any(
        "opentelemetry" in f"{name}={variables.get(name, '')}".lower()
        or (name.startswith("OTEL_") and bool(variables.get(name)))
        for name in _STARTED_BY
    )
