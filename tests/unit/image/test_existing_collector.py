"""Collectors that people have put into their images by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azext_otelembed.image.existing_collector import ExistingCollector, Start, find

SHELL = ("/bin/sh", "-c")


def start(entrypoint: tuple[str, ...] = (), cmd: tuple[str, ...] = ()) -> Start:
    return Start(entrypoint, cmd)


def script(text: str) -> Start:
    """As CMD in shell form."""
    return start((), (*SHELL, text))


@pytest.mark.parametrize(
    ("found", "app"),
    [
        (
            start((), ("sh", "-c", "otelcol --config=/etc/otel.yml & exec node server.js")),
            start((), ("node", "server.js")),
        ),
        (
            script("/otelcol-contrib --config /c.yml >/dev/null 2>&1 & exec ./bin/rails server"),
            start((), ("./bin/rails", "server")),
        ),
        (script("otelcol &\nnode server.js"), start((), ("node", "server.js"))),
        (script("A=b otelcol & exec node 'a b.js'"), start((), ("node", "a b.js"))),
        (
            script('nohup otelcol & exec node "$MAIN"'),
            script('exec node "$MAIN"'),
        ),
        (
            script("set -e; otelcol & cd /app && exec node server.js"),
            script("set -e; cd /app && exec node server.js"),
        ),
        (
            start(("/docker-entrypoint.sh",), (*SHELL, "otelcol & exec node server.js")),
            start(("/docker-entrypoint.sh",), ("node", "server.js")),
        ),
        (
            start((*SHELL, 'otelcol & exec "$@"', "--"), ("node", "server.js")),
            start((), ("node", "server.js")),
        ),
        (
            start((*SHELL, 'otelcol & exec "$@"', "--", "node"), ("server.js",)),
            start(("node",), ("server.js",)),
        ),
        (
            start((*SHELL, "otelcol & exec node server.js"), ("ignored",)),
            start(("node", "server.js"), ()),
        ),
        (
            start((*SHELL, 'otelcol & exec node "$0"'), ("server.js",)),
            start((*SHELL, 'exec node "$0"'), ("server.js",)),
        ),
        (
            start((), ("bash", "-ec", "(otelcol --config x) & node a.js")),
            start((), ("node", "a.js")),
        ),
    ],
)
def test_the_collectors_half_of_a_command_is_left_out(found: Start, app: Start) -> None:
    by_hand = find(found)
    assert by_hand is not None
    assert "otelcol" in by_hand.collector
    assert by_hand.app == app
    assert by_hand.app is not None
    assert find(by_hand.app) is None


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
    by_hand = find(script(text))
    assert by_hand is not None
    assert by_hand.app is None


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
def test_an_app_is_left_alone(found: Start) -> None:
    assert find(found) is None


@pytest.mark.parametrize(
    "name",
    [
        "otelcol",
        "/usr/bin/otelcol",
        "otelcol-contrib",
        "/otelcol_linux_amd64",
        "otelcontribcol",
        "otel-collector",
        "/opt/opentelemetry-collector",
        "aws-otel-collector",
        "splunk-otel-collector",
    ],
)
def test_collectors_go_by_many_names(name: str) -> None:
    by_hand = find(script(f"{name} --config=/c.yml & exec app"))
    assert by_hand == ExistingCollector(f"{name} --config=/c.yml", start((), ("app",)))


@given(st.lists(st.text(), max_size=4), st.text())
def test_any_words_are_read(words: list[str], text: str) -> None:
    find(start((*words,), (*SHELL, text)))
    find(start((), (*SHELL, f"otelcol & {text}")))
