"""Collectors that people have put into their images by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azext_otelembed.image.existing_collector import ExistingCollector, StartCommand, find_collector

SHELL = ("/bin/sh", "-c")


NODE = ("node", "server.js")
RUN = "otelcol & exec node server.js"


def start(entrypoint: tuple[str, ...] = (), cmd: tuple[str, ...] = ()) -> StartCommand:
    return StartCommand(entrypoint, cmd)


def script(text: str) -> StartCommand:
    """As CMD in shell form."""
    return start(cmd=(*SHELL, text))


@pytest.mark.parametrize(
    ("found", "app"),
    [
        (start(cmd=("sh", "-c", "otelcol --config=/c.yml & exec node server.js")), start(cmd=NODE)),
        (start(cmd=("bash", "-ec", "(otelcol --config x) & node server.js")), start(cmd=NODE)),
        (start(cmd=("busybox", "sh", "-c", RUN)), start(cmd=NODE)),
        (
            script("/otelcol-contrib --config /c.yml >/dev/null 2>&1 & exec ./bin/rails server"),
            start(cmd=("./bin/rails", "server")),
        ),
        (script("otelcol &\nnode server.js"), start(cmd=NODE)),
        (script("A=b otelcol & exec node 'a b.js'"), start(cmd=("node", "a b.js"))),
        (script('nohup otelcol & exec node "$MAIN"'), script('exec node "$MAIN"')),
        (script("set -e; otelcol & cd /a && exec a"), script("set -e; cd /a && exec a")),
        (start(("/entry.sh",), (*SHELL, RUN)), start(("/entry.sh",), NODE)),
        (start((*SHELL, 'otelcol & exec "$@"', "--"), NODE), start(cmd=NODE)),
        (start((*SHELL, 'otelcol & exec "$@"', "--", "node"), ("a",)), start(("node",), ("a",))),
        (start((*SHELL, RUN), ("ignored",)), start(NODE)),
        (start((*SHELL, 'otelcol & exec a "$0"'), ("b",)), start((*SHELL, 'exec a "$0"'), ("b",))),
    ],
)
def test_the_collector_is_removed_from_a_command(found: StartCommand, app: StartCommand) -> None:
    existing = find_collector(found)
    assert existing is not None
    assert "otelcol" in existing.collector
    assert existing.app == app
    assert existing.app is not None
    assert find_collector(existing.app) is None


@pytest.mark.parametrize(
    "text",
    [
        "otelcol",
        "node server.js & otelcol",
        "node server.js & exec otelcol --config x",
        "otelcol && node server.js",
        "otelcol & node server.js & wait -n",
        "otelcol & splunk-otel-collector & node server.js",
        "test -f x && otelcol & node server.js",
        "otelcol &",
    ],
)
def test_what_cannot_be_told_apart_is_recognised_all_the_same(text: str) -> None:
    existing = find_collector(script(text))
    assert existing is not None
    assert existing.app is None


@pytest.mark.parametrize(
    "found",
    [
        start(("node",), ("server.js",)),
        script("node server.js"),
        script("echo otelcol & exec node server.js"),
        script("node --require otelcol.js server.js"),
        script("'otelcol & exec node'"),
        script("collect & exec node server.js"),
        start(("sh",), ("-c",)),
        start(("sh", "run.sh"), ("otelcol",)),
        start(),
    ],
)
def test_an_app_is_left_alone(found: StartCommand) -> None:
    assert find_collector(found) is None


@pytest.mark.parametrize(
    "name",
    [
        *("otelcol", "/usr/bin/otelcol", "otelcol-contrib", "/otelcol_linux_amd64"),
        *("otelcontribcol", "otel-collector", "/opt/opentelemetry-collector"),
        *("aws-otel-collector", "splunk-otel-collector"),
    ],
)
def test_collectors_go_by_many_names(name: str) -> None:
    existing = find_collector(script(f"{name} --config=/c.yml & exec app"))
    assert existing == ExistingCollector(f"{name} --config=/c.yml", start((), ("app",)))


@given(st.lists(st.text(), max_size=4), st.text())
def test_any_words_are_read(words: list[str], text: str) -> None:
    find_collector(start((*words,), (*SHELL, text)))
    find_collector(start((), (*SHELL, f"otelcol & {text}")))
