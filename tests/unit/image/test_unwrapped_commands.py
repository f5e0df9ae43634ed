"""Unwrapped commands do in a real shell what they did before, except for the collector."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from azext_otelembed.image.embed import check_base
from azext_otelembed.image.existing_collector import (
    StartCommand,
    find_collector,
    find_in_startup_command,
)
from azext_otelembed.image.launcher import Launcher
from tests.unit.image.image_support import base

SHELLS = [
    argv
    for argv in (("dash",), ("bash",), ("busybox", "sh"), ("bash", "-l"), ("dash", "-l"))
    if shutil.which(argv[0])
]
APP = """#!/bin/sh
printf '[%s]' "$@"; echo; pwd; umask; echo "$A $LOGIN"; ulimit -n
[ "$1" != signal ] || { kill -TERM $$; sleep 5; }
exit 7
"""
PROFILE = "LOGIN=yes; export LOGIN\n"
PROGRAMS = {"app": APP, "otelcol": "#!/bin/sh\nexit 3\n", "gosu": '#!/bin/sh\nshift; exec "$@"\n'}

REMOVED = [
    "otelcol --config /c.yml & exec app 'a b' c",
    "otelcol & app \"$A\" '$A'",
    "cd /tmp; umask 027; otelcol & exec app x",
    "otelcol & umask 077",
    "otelcol & command app x",
    "otelcol & cd /",
    "otelcol & export A=9; app",
    "otelcol & echo hello",
    "otelcol & . ./settings; app",
    "# don't stop\notelcol &\n# it's the app\nexec app x",
    "otelcol & # isn't waited for\nexec app x",
    "nohup otelcol >/dev/null 2>&1 & exec app",
    "setsid -f otelcol & exec app",
    "env -u A B=c otelcol & exec app",
    "nice -n 5 otelcol & exec app",
    "timeout -s TERM 9 otelcol & exec app",
    "stdbuf -oL otelcol & exec app",
    "exec otelcol & exec app",
    "gosu root otelcol & exec app",
    ">/dev/null 2>&1 otelcol & exec app",
    "otelcol >other.log 2>&1 & exec app",
    "(otelcol --config x) & exec app",
    "{ otelcol; } & exec app",
    "{ cd / && exec otelcol; } & exec app",
    "for n in 1 2; do otelcol; sleep 0; done & exec app",
    "if true; then otelcol; fi & exec app",
    "cd / && otelcol & exec app",
    "otelcol \\\n  --config x \\\n  & exec \\\n app y",
    "'otel'col & exec app \"it's\"",
    '"/no/such/otelcol" & exec app',
    "set -e; otelcol & if true; then exec app yes; fi",
    'set -- 1 2; otelcol & exec app "$@"',
    "otelcol & cat <<E\ndon't $A\nE\napp",
    "otelcol & exec app signal",
    "otelcol & trap 'echo stopped' TERM; app x; echo $?",
    "otelcol & exec app $(echo one two)",
    "otelcol & case $A in 1) app one;; *) app other;; esac",
    "otelcol & A=5 exec app",
    "otelcol & app a && app b || app c",
    "otelcol & exec app a\\ b",
    "otelcol & eval 'app x'",
    "otelcol & app x | cat",
    'otelcol & f() { app "$1"; }; f z',
]
KEPT = [
    "if true; then otelcol & fi; exec app",
    'if [ -n "$A" ]; then otelcol; fi & exec app',
    "( otelcol & ); exec app",
    "{ otelcol & }; exec app",
    "otelcol & echo $!; exec app",
    "otelcol & P=$!; trap 'kill $P' TERM; app",
    "otelcol & app & wait",
    "otelcol & trap 'wait' TERM; app",
    "otelcol & app; kill %1",
    "trap 'exit 1' CHLD; otelcol & app",
    "otelcol >o.log & tail o.log; app",
    "otelcol | cat & exec app",
    "otelcol & pkill otelcol; app",
    "otelcol && exec app",
    "otelcol <<E &\nx\nE\nexec app",
    "otelcol --config $(app) & exec app",
    "migrate && otelcol & exec app",
    "for i in 1; do otelcol & done; exec app",
    "start() { otelcol & }; start; exec app",
    "eval 'otelcol &'; exec app",
    "sh -c 'otelcol & exec app'",
    "su app -c 'otelcol & exec app'",
    "true & $(otelcol &) exec app",
    "timeout --signal TERM 9 otelcol & exec app",
    "env -S 'otelcol --config x' & exec app",
    "otelcol & echo $?",
    "app; otelcol &\n\necho $?",
    "app; otelcol & exit",
    "app; otelcol &",
    "otelcol & exec app 'unclosed",
    "case x in x) otelcol & ;; esac; exec app",
    "nohup nice otelcol",
    "tini -- otelcol",
    "dumb-init otelcol",
    "sudo -E otelcol; app",
    "su-exec app otelcol; app",
    "unshare -n otelcol --config /c.yml & exec app",
    "numactl -N 0 /usr/bin/otelcol --config=/c.yml & exec app",
    "prlimit --nofile=99 otelcol-contrib --config /c.yml & exec app",
    "busybox nohup otelcol --config /c.yml & exec app",
    "start-stop-daemon -Sbx /otelcol -- --config /c.yml; exec app",
    "coproc otelcol --config /c.yml; exec app",
    "systemd-cat -t otel otelcol --feature-gates=x --config /c.yml & exec app",
]


@pytest.mark.parametrize("script", REMOVED)
def test_the_rest_does_the_same_without_its_collector(script: str, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in PROGRAMS.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    (tmp_path / "settings").write_text("A=sourced\n")
    for profile in (".profile", ".bash_profile"):
        (tmp_path / profile).write_text(PROFILE + f"PATH={programs}:$PATH\n")

    def run(command: StartCommand) -> tuple[int, bytes]:
        environment = {"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(tmp_path), "A": "1"}
        done = subprocess.run(
            [*command.entrypoint, *command.cmd],
            env=environment, cwd=tmp_path, stdout=-1, stderr=-3, timeout=30, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout

    for shell in SHELLS:
        command = StartCommand((), (*shell, "-c", script))
        found = find_collector(command)
        assert found is not None
        assert found.app is not None
        assert "otelcol" not in " ".join(found.app.cmd)
        assert run(found.app) == run(command), (shell, found.app)


@pytest.mark.parametrize("script", KEPT)
def test_a_collector_is_seen_where_the_rest_may_need_it(script: str) -> None:
    found = find_collector(StartCommand((), ("sh", "-c", script)))
    assert found is not None
    assert found.app is None


@pytest.mark.parametrize("options", [("-lc",), ("-l", "-c"), ("--login", "-c"), ("-ic",), ("-xc",)])
def test_a_shell_with_options_that_change_the_app_stays(options: tuple[str, ...]) -> None:
    found = find_collector(StartCommand((), ("bash", *options, "otelcol & exec app x")))
    assert found is not None
    assert found.app == StartCommand((), ("bash", *options, "exec app x"))


@pytest.mark.parametrize(
    "script",
    [
        "echo otelcol & exec app",
        "app --name otelcol",
        "# otelcol &\nexec app",
        "cat <<E\notelcol &\nE\napp",
        "case $A in otelcol) app;; esac",
        "for otelcol in otelcol; do app; done",
        "pkill otelcol; app --config /app.yml",
        "command -v otelcol || echo none; exec app",
    ],
)
def test_a_word_that_names_a_collector_is_none(script: str) -> None:
    assert find_collector(StartCommand((), ("sh", "-c", script))) is None


def test_a_shell_that_reads_a_file_first_stays() -> None:
    command = ["bash", "-c", "otelcol & exec app"]
    read_first = base(Env=["BASH_ENV=/etc/app.env"], Cmd=command)
    assert check_base(read_first, Launcher(), unwrap=True).cmd == ("bash", "-c", "exec app")
    assert check_base(base(Cmd=command), Launcher(), unwrap=True).cmd == ("app",)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "script",
    [
        'eval "$(' * 40 + "x" + ')"' * 40,
        "eval sh -c '" * 2000,
        "$(" * 30000,
        '"$(' * 30000,
        "(" * 60000,
        "kill " * 20000,
        "1" * 100000,
        "case x in " + "a) ;; " * 20000 + "esac",
        "`" * 100001,
        "<<E " * 20000,
        'eval \'eval "eval x$(sh -c "x")"\';' * 2000,
        "x" * 10_000_000,
    ],
)
def test_large_and_deep_scripts_are_read_in_time(script: str) -> None:
    began = time.monotonic()
    find_collector(StartCommand((), ("sh", "-c", f"{script}; otelcol & exec app")))
    find_in_startup_command(f"otelcol & {script}")
    assert time.monotonic() - began < 10
