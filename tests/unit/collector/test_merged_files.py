"""Several configuration files: the text in the image is what the collector makes of the files."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from azext_otelembed.collector.config import ConfigFile, check, problems, read
from azext_otelembed.collector.yaml_document import Node, parse
from azext_otelembed.collector.yaml_text import yaml_text
from azext_otelembed.errors import InvalidConfig

BASE = """\
receivers: &r
  otlp: {protocols: {grpc: {endpoint: localhost:4317}, http: {endpoint: localhost:4318}}}
processors:
  memory_limiter: {limit_mib: 100, check_interval: 1s}
  resource:
    attributes:
      - {key: a, value: 2024-10-01, action: upsert}
      - {key: b, value: "007", action: upsert}
  batch: {send_batch_size: 10}
exporters:
  azuremonitor: {connection_string: "${env:APPLICATIONINSIGHTS_CONNECTION_STRING}"}
  otlp_http/own: {endpoint: "http://localhost:9", headers: {x: "1", y: yes}}
service:
  telemetry: {logs: {level: info}, metrics: {level: none}, resource: {site: "on"}}
  pipelines:
    traces:
      receivers: [otlp]
      processors: [memory_limiter, resource, batch]
      exporters: [azuremonitor, otlp_http/own]
"""
MORE = {
    "a mapping is merged key by key": "processors: {batch: {timeout: 3s}}",
    "a list is replaced": "service: {pipelines: {traces: {processors: [memory_limiter]}}}",
    "null replaces a mapping": "processors: {batch: null}",
    "null replaces a key's mapping": "receivers: {otlp: {protocols: {grpc: null}}}",
    "an empty mapping changes nothing": "processors: {batch: {}}\nservice: {pipelines: {}}",
    "an empty list replaces": "processors: {resource: {attributes: [{key: c, action: delete}]}}",
    "a path in one key": "processors::batch::timeout: 2s\nservice::telemetry::logs::level: debug",
    "types stay": "exporters: {otlp_http/own: {headers: {x: '2024-10-01', z: '0x1f', w: 'null'}}}",
    "expressions stay": "exporters: {otlp_http/own: {headers: {x: '${env:A}', z: '$$a', w: $$$$}}}",
    "expressions in place of a mapping": "processors: {batch: '${env:B}'}",
    "text of odd characters": "exporters: {otlp_http/own: {headers: "
    '{x: "a\\u2028\\U0001F600\\t \\n"}}}',
    "a new component": "extensions: {health_check: }\nservice: {extensions: [health_check]}",
    "aliases": "exporters: {otlp_http/own: {headers: &h {q: '1'}}, otlp_http/b: "
    "{endpoint: 'http://localhost:8', headers: {<<: *h, p: '2'}}}",
}
ENVIRONMENT = {"A": "007", "B": "{send_batch_size: 77}"}


def merged(*texts: str) -> bytes:
    return read([ConfigFile(f"{n}.yml", text.encode()) for n, text in enumerate(texts)]).data


def as_collector_reads(otelcol: Path, folder: Path, *texts: bytes) -> str:
    command = [str(otelcol), "print-config", "--mode", "unredacted", "--validate=false"]
    for number, text in enumerate(texts):
        file = folder / f"{number}.yml"
        file.write_bytes(text)
        command += ["--config", str(file)]
    done = subprocess.run(
        command, env=ENVIRONMENT, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


@pytest.mark.parametrize("more", MORE.values(), ids=MORE)
def test_the_merged_text_is_what_the_collector_merges(
    more: str, otelcol: Path, tmp_path: Path
) -> None:
    both = as_collector_reads(otelcol, tmp_path, BASE.encode(), more.encode())
    assert as_collector_reads(otelcol, tmp_path, merged(BASE, more)) == both


def test_three_files_are_merged_in_their_order(otelcol: Path, tmp_path: Path) -> None:
    texts = [BASE, MORE["null replaces a mapping"], MORE["a mapping is merged key by key"]]
    all_of_them = as_collector_reads(otelcol, tmp_path, *(text.encode() for text in texts))
    assert as_collector_reads(otelcol, tmp_path, merged(*texts)) == all_of_them
    assert "timeout: 3s" in all_of_them


def test_one_file_stays_as_it_is_and_several_give_the_same_bytes_each_time() -> None:
    assert merged(f"# why\n{BASE}") == f"# why\n{BASE}".encode()
    assert merged(BASE, "# a comment\nprocessors: {batch: {timeout: 3s}}") == merged(
        BASE, "processors::batch::timeout: 3s"
    )


def test_an_error_names_the_file_and_the_command_names_all_of_them() -> None:
    files = [ConfigFile("a.yml", BASE.encode()), ConfigFile("b.yml", b"\nnope: 1\nx: 2\n")]
    with pytest.raises(InvalidConfig) as caught:
        check(read(files))
    assert caught.value.message.startswith("line 2: ")
    assert "(in 'b.yml')" in caught.value.message
    assert "`az otelembed config validate a.yml b.yml` lists" in str(caught.value.recommendation)


def test_aliases_that_are_written_out_count() -> None:
    big = "a: &a [" + ", ".join(["abcdefgh"] * 500) + "]\n"
    big += "".join(f"b{number}: *a\n" for number in range(12))
    (found,) = problems(read([ConfigFile("a", big.encode()), ConfigFile("b", b"c: 1\n")]))
    assert "at most 49152 fit" in found.message


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.sampled_from(
        ["yes", "null", "0x1f", "1e3", "2024-10-01", "~", "a: b", "- a", "#", "@x", ""]
    ),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_leaves=12,
)


def bare(node: Node) -> object:
    """The tree without lines."""
    if node.kind == "map":
        return {key: bare(value) for key, value in node.items}
    if node.kind == "list":
        return [bare(value) for value in node.elements]
    return (node.kind, node.scalar, node.text)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "b", "yes", "1 x"]), TREES, min_size=1))
def test_a_tree_that_is_written_is_read_as_the_same_tree(tree: dict[str, object]) -> None:
    source = yaml.safe_dump(tree)
    try:
        root = parse(source).root
    except InvalidConfig:  # characters that YAML doesn't have, `::` in keys
        return
    assert bare(parse(yaml_text(root).decode()).root) == bare(root)
