"""Which files a .dockerignore leaves out. `tests/builders` holds the same against a real engine."""

from __future__ import annotations

import contextlib
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from azext_otelembed.builders.dockerignore import InvalidPattern, parse


@pytest.mark.parametrize(
    ("rules", "out", "stays"),
    [
        ("", [], ["a", "a/b"]),
        ("# a\n\n  \na # b", ["a # b"], ["a"]),
        ("\ufeffa", ["a"], ["b"]),
        ("a\r\nb\r\n", ["a", "b"], ["c"]),
        ("a", ["a", "a/b", "a/b/c"], ["b/a", "ab"]),
        ("/a/", ["a", "a/b"], ["b/a"]),
        ("./a/../b", ["b"], ["a"]),
        (" a \n", ["a"], [" a "]),
        (".", [], ["a", ".b"]),
        ("..", [], ["a"]),
        ("/", [], ["a"]),
        ("*", ["a", ".b", "a/b"], []),
        ("*/*.log", ["a/b.log", "a/.log", "a/x.log/b"], ["b.log", "a/b/c.log"]),
        ("a?c", ["abc"], ["ac", "a/c", "abbc"]),
        ("**", ["a", "a/b"], []),
        ("**/a", ["a", "b/a", "b/c/a/d"], ["ba", "b/ca"]),
        ("a/**", ["a/b", "a/b/c"], ["a", "b"]),
        ("a/**/z", ["a/z", "a/b/z", "a/b/c/z/y"], ["a/zz", "z"]),
        ("**/*.go", ["x.go", "a/b/x.go"], ["x.god"]),
        ("**.go", ["x.go", "a/b/x.go", "a/.go"], ["x.god"]),
        ("**.g?", ["a/.go"], ["x.go", "a/x.go"]),
        ("[ab]x", ["ax", "bx"], ["cx"]),
        ("[^ab]x", ["cx"], ["ax", "/x"]),
        ("[a-cx]", ["b", "x"], ["d", "-"]),
        (r"[\]\-]", ["]", "-"], ["a"]),
        ("x[.-0]y", ["x.y", "x0y"], ["x/y"]),
        (r"\*", ["*"], ["a"]),
        ("a.c+(d)|$", ["a.c+(d)|$"], ["abc"]),
        ("*\n!a", ["b"], ["a", "a/b"]),
        ("!a\n*", ["a", "b"], []),
        ("*.md\n!README*.md\nREADME-secret.md", ["x.md", "README-secret.md"], ["README.md"]),
        ("a\n! a/keep", ["a", "a/b"], ["a/keep", "a/keep/all"]),
        ("a\n!a/b/keep", ["a/b", "a/b/x"], ["a/b/keep"]),
        ("\u2003a\x85\n!\x1fb", ["a"], ["b"]),
        ("a\x1c", ["a\x1c"], ["a"]),
        ("a /\n/\tb", ["a", "b"], ["a "]),
    ],
)
def test_a_path_is_left_out_as_docker_does(rules: str, out: list[str], stays: list[str]) -> None:
    ignore = parse(rules)
    assert [path for path in out if not ignore.excludes(path)] == []
    assert [path for path in stays if ignore.excludes(path)] == []


@pytest.mark.parametrize(
    ("rules", "worth", "vain"),
    [
        ("*", [], ["a", "a/b"]),
        ("*\n!a", [], ["a/b", "b"]),
        ("*\n!a/b/c", ["a", "a/b"], ["b", "a/c", "a/b/c"]),
        ("*\n!a/*/c", ["a", "a/x"], ["b", "a/x/y"]),
        ("*\n!**/c", ["a", "a/b/d"], []),
        ("*\n!a/**", ["a", "a/b"], ["b"]),
    ],
)
def test_a_folder_is_entered_only_where_an_exception_may_lie(
    rules: str, worth: list[str], vain: list[str]
) -> None:
    ignore = parse(rules)
    assert [path for path in worth if not ignore.may_contain_exception(path)] == []
    assert [path for path in vain if ignore.may_contain_exception(path)] == []


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ("a\n!", "line 2: '!'"),
        ("[a", "line 1: '[a' has a '[' without"),
        ("[]", "line 1"),
        ("[b-a]", "runs backwards"),
        ("[a-]", "isn't a set"),
        ("a\\", "ends with a backslash"),
    ],
)
def test_what_is_no_pattern_is_refused_with_its_line(rules: str, said: str) -> None:
    with pytest.raises(InvalidPattern, match=r"line \d") as refused:
        parse(rules)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("rules", "path"),
    [
        ("*a*a*a*a*a*a*a*a*b", "a" * 255),
        ("**/**/**/**/x", "/".join("y" * 2000)),
        ("**/a/**/a/**/a/**/a/**/b", "/".join("a" * 2000)),
        ("**a**a**a**a**a**b", "a/a" * 700),
        ("\n".join(f"!*{end}*a*a*a*a*b" for end in "aaaa" * 20), "a" * 255),
        ("!" + "?" * 30_000 + "**/x", "/".join("y" * 100)),
    ],
)
def test_the_time_grows_with_the_path_alone(rules: str, path: str) -> None:
    ignore = parse(rules)
    began = time.process_time()
    assert not ignore.excludes(path)
    assert not ignore.may_contain_exception(f"{path}/x") or rules.startswith("!")
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize("rule", ["**/" * 8_000 + "x", "*" * 16_000 + "b", "**/*" * 6_000 + "b"])
def test_the_memory_grows_with_the_length_of_a_rule_alone(rule: str) -> None:
    tracemalloc.start()
    assert not parse(rule).excludes("a/a")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 32 << 20


SEGMENTS = st.sampled_from(["a", "b", "ab", "*", "**", "?", "a*", "[ab]", "[^a]", "**b", "a**"])
PATTERN = st.builds(
    lambda exception, segments: ("!" if exception else "") + "/".join(segments),
    st.booleans(),
    st.lists(SEGMENTS, min_size=1, max_size=4),
)
PATH = st.lists(st.sampled_from(["a", "b", "ab", "c"]), min_size=2, max_size=5).map("/".join)


@given(st.lists(PATTERN, max_size=5), PATH)
@settings(max_examples=200, deadline=None)
def test_nothing_is_missed_in_a_folder_that_is_not_entered(rules: list[str], path: str) -> None:
    ignore = parse("\n".join(rules))
    folders = path.split("/")
    above = ["/".join(folders[:at]) for at in range(1, len(folders))]
    if any(
        ignore.excludes(folder) and not ignore.may_contain_exception(folder) for folder in above
    ):
        assert ignore.excludes(path)


@given(st.text(max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_text_is_rules_or_a_problem(text: str) -> None:
    with contextlib.suppress(InvalidPattern):
        parse(text).excludes("a/b")
