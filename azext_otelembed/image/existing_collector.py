"""Recognises a collector in an image's own shell command: `otelcol … & exec node server.js`.

This is a common way to add a collector by hand, as CMD, as ENTRYPOINT or as App Service's startup
command. Embedding would start a second collector on the same ports. So it is recognised, and can be
removed from the command if that changes nothing else. A collector that a script file starts is not
recognised: the configuration has the file's name, not its content.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from azext_otelembed.image.script_programs import (
    ASSIGNMENT,
    MAX_SCRIPTS,
    WRAPPERS,
    Shell,
    find_shells,
    program_index,
    programs,
    scripts_of,
    words_of,
)
from azext_otelembed.image.shell_script import (
    MAX_LENGTH,
    Command,
    Job,
    Unreadable,
    read_jobs,
    unquoted,
)

_COLLECTOR = re.compile(
    r"otelcol(?:[-_].*)?|otel(?:contrib|core)col(?:[-_].*)?"
    r"|(?:aws-|splunk-|grafana-)?(?:otel|opentelemetry|otlp)[-_]collector(?:[-_].*)?",
    re.ASCII | re.DOTALL,
)
# In a script that isn't readable, any command-like occurrence counts.
_ANY_COLLECTOR = re.compile(
    r"(?:^|[\s;&|({`'\"/])(?:otelcol|otel(?:contrib|core)col|(?:otel|opentelemetry|otlp)[-_]collector)"
    r"[\s\w-]",
    re.ASCII,
)
# Outside of quotes, these characters have a meaning to a shell.
_SPECIAL = re.compile(r"[$`*?\[\]{}()<>|;&#!~\n\r\\]")
# Only a shell runs these: builtins without a program of the same name, or with another effect.
_BUILTINS = frozenset(
    """
    . : echo false kill printf pwd test true alias bg bind break builtin caller cd command
    compgen complete continue coproc declare dirs disown enable eval exec exit export fc fg
    getopts hash history jobs let local logout mapfile popd pushd read readarray readonly
    return select set shift shopt source suspend time times trap type typeset ulimit umask
    unalias unset until wait while if for case function
    """.split()  # noqa: SIM905  # one word a line fills a page
)
# In a background job these change nothing outside of it.
_WITHOUT_EFFECT = {"cd", "export", "umask", "ulimit", "set", "unset", ":", "true", "sleep"}
# By these the rest of a script depends on a background job.
_NEEDS_JOB = {"wait", "jobs", "fg", "bg", "disown"}
_JOB_PARAMETER = re.compile(r"\$!|\$\{!|kill\s[^;&|\n%]{0,200}%|\bCHLD\b")


@dataclass(frozen=True, slots=True)
class StartCommand:
    """The command that a container starts: the entrypoint, followed by the words of Cmd."""

    entrypoint: tuple[str, ...]
    cmd: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExistingCollector:
    """`collector` is the command that starts it, `app` the start command without it.

    `app` is None if the collector can't be removed from the command.
    """

    collector: str
    app: StartCommand | None


def find_collector(start: StartCommand, *, keep_shell: bool = False) -> ExistingCollector | None:
    """The collector that the image's own shell command starts; None if there is none.

    `keep_shell`: the shell is needed even for a single program.
    """
    words = (*start.entrypoint, *start.cmd)
    for shell in find_shells(words):
        script = words[shell.script_index]
        collector = _in_script(script)
        if collector is not None:
            rest = _without_collector(script)
            app = None if rest is None else _app_command(start, shell, rest, keep_shell)
            return ExistingCollector(collector, app)
    return None


def find_in_startup_command(text: str) -> ExistingCollector | None:
    """The collector that App Service's startup command starts, which has the words of Cmd.

    The image's entrypoint may be a shell: so the words are also read as those after `sh` and
    `sh -c`, and the text as a script. `app` has the words without the collector as its Cmd.
    """
    try:
        words = tuple(shlex.split(text)) if len(text) <= MAX_LENGTH else ()
    except ValueError:
        words = ()
    for entrypoint in ((), ("sh",), ("sh", "-c")):
        found = find_collector(StartCommand(entrypoint, words))
        if found is not None:
            return found
    collector = _in_script(text)
    return None if collector is None else ExistingCollector(collector, None)


def start_programs(start: StartCommand) -> Iterator[list[str]]:
    """The programs that a start command runs, each with its arguments; none of a script in a file.

    These are the command's own program, behind wrappers such as `env`, and those of its script if
    that is a shell.
    """
    words = [*start.entrypoint, *start.cmd]
    scripts = [words[shell.script_index] for shell in find_shells(words)]
    commands = [words]
    for script in scripts:
        try:
            jobs = read_jobs(script)
        except Unreadable:
            continue
        commands += [words_of(command) for job in jobs for command in job.commands]
    for found in commands:
        program = program_index(found)
        if program is not None:
            yield found[program:]


def _in_script(script: str, seen: set[str] | None = None) -> str | None:
    """The command in a script, or in a script that this one runs, that starts a collector.

    `seen` has the scripts that were read; of too many the rest isn't told apart.
    """
    seen = set() if seen is None else seen
    if script in seen:
        return None
    seen.add(script)
    try:
        jobs = read_jobs(script) if len(seen) <= MAX_SCRIPTS else None
    except Unreadable:
        jobs = None
    if jobs is None:
        return script.strip() if _ANY_COLLECTOR.search(script + " ") else None
    for command in (command for job in jobs for command in job.commands):
        words = words_of(command)
        if _runs_collector(words) or _may_run_collector(words):
            return _text_of(script, command)
        for inner in scripts_of(command):
            if _in_script(inner, seen):
                return _text_of(script, command)
    return None


def _text_of(script: str, command: Command) -> str:
    parts = sorted((*command.words, *command.redirections), key=lambda token: token.start)
    return script[parts[0].start : parts[-1].end]


def _runs_collector(words: Sequence[str]) -> bool:
    program = program_index(words)
    return program is not None and _is_collector(words[program])


def _may_run_collector(words: Sequence[str]) -> bool:
    """Whether it isn't clear where the program begins: `timeout --signal TERM 9 otelcol`.

    Behind programs that aren't known, a collector's name counts if its --config follows.
    """
    place = next((n for n, word in enumerate(words) if _is_collector(word)), len(words))
    if any(word.startswith("--config") for word in words[place:]):
        return True
    if not words or posixpath.basename(words[0]) not in WRAPPERS:
        return False
    unclear = any(
        word.startswith("-S") or (word.startswith("--") and "=" not in word) for word in words
    )
    return unclear and any(_is_collector(part) for word in words for part in word.split())


def _is_collector(word: str) -> bool:
    return _COLLECTOR.fullmatch(posixpath.basename(word)) is not None


def _without_collector(script: str) -> str | None:
    """The script without its collector, which must be a background job (`&`) of its own.

    None if there is another collector, or if the rest may depend on the collector.
    """
    try:
        jobs = read_jobs(script)
        number = next((n for n, job in enumerate(jobs) if _is_collector_job(job)), None)
        if number is None or not jobs[number].tokens:
            return None
        job = jobs[number]
        rest = (script[: job.tokens[0].start] + script[job.end :].lstrip(" \t")).strip(" \t\n")
        expected = [token for one in jobs if one is not job for token in one.tokens]
        kept = [token for one in read_jobs(rest) for token in one.tokens]
        if not _NEEDS_JOB.isdisjoint(programs(rest)):
            return None
    except Unreadable:
        return None
    if not kept or [token.text for token in kept] != [token.text for token in expected]:
        return None
    if _in_script(rest) is not None or _JOB_PARAMETER.search(rest):
        return None
    if any(name in rest for name in _names_of(job)):
        return None
    # A background job's own status is 0.
    following = next((one.tokens for one in jobs[number + 1 :] if one.tokens), None)
    if following is None or any(_reads_status(token.text) for token in following):
        return None
    return rest


def _reads_status(word: str) -> bool:
    return "$?" in word or word in ("exit", "return")


def _is_collector_job(job: Job) -> bool:
    """Whether a job only starts a collector in the background."""
    if job.operator != "&":
        return False
    if any(token.inner or "<<" in token.text for token in job.tokens):
        return False
    collectors = 0
    for command in job.commands:
        words = words_of(command)
        program = program_index(words)
        if _runs_collector(words):
            collectors += 1
        elif program is not None and words[program] not in _WITHOUT_EFFECT:
            return False
    return collectors == 1 and not any(token.text in ("|", "|&") for token in job.tokens)


def _names_of(job: Job) -> Iterator[str]:
    """Names by which other commands refer to a job: its program, the files of its redirections."""
    for command in job.commands:
        words = words_of(command)
        program = program_index(words)
        if program is not None and _runs_collector(words):
            yield posixpath.basename(words[program])
    for token in job.tokens:
        if token.kind == "redirection":
            target = unquoted(re.sub(r"^\d*[<>&|]+\s*", "", token.text))
            if target != "/dev/null" and not re.fullmatch(r"\d+|-", target):
                yield target


def _app_command(start: StartCommand, shell: Shell, script: str, keep_shell: bool) -> StartCommand:
    """The start command with `script` in the place of the shell's, without a needless shell."""
    words = [*start.entrypoint, *start.cmd]
    entrypoint_length = len(start.entrypoint)
    if shell.index < entrypoint_length <= shell.script_index:
        # The shell is the entrypoint's, its script Cmd's.
        cmd = list(start.cmd)
        cmd[shell.script_index - entrypoint_length] = script
        return StartCommand(start.entrypoint, tuple(cmd))
    app_words = _simple_command(script) if shell.plain and not keep_shell else None
    if app_words == ["$@"]:
        # `exec "$@"`: the app is the words after the script and its `$0`.
        remaining = [*words[: shell.index], *words[shell.script_index + 2 :]]
    elif app_words is not None:
        remaining = [*words[: shell.index], *app_words]
    else:
        remaining = [*words[: shell.script_index], script, *words[shell.script_index + 1 :]]
    return _divide(start, remaining, shell.index, shell.script_index, app_words)


def _divide(
    start: StartCommand,
    remaining: Sequence[str],
    shell_index: int,
    script_index: int,
    app_words: Sequence[str] | None,
) -> StartCommand:
    """The words divided into entrypoint and Cmd, so that a startup command replaces the same part.

    App Service's startup command replaces Cmd.
    """
    entrypoint_length = len(start.entrypoint)
    if shell_index >= entrypoint_length:  # shell and script are in Cmd
        return StartCommand(start.entrypoint, tuple(remaining[entrypoint_length:]))
    if app_words == ["$@"]:
        removed = script_index + 2 - shell_index
        return StartCommand(tuple(remaining[: max(entrypoint_length - removed, 0)]), start.cmd)
    if app_words is not None:
        return StartCommand(tuple(remaining), ())  # the script ignored Cmd
    return StartCommand(tuple(remaining[:entrypoint_length]), start.cmd)


def _simple_command(script: str) -> list[str] | None:
    """The words of a simple command, without `exec`; None if it needs a shell."""
    text = script.rstrip("; \n")
    if re.fullmatch(r'(?:exec\s+)?"\$@"', text):
        return ["$@"]
    unquoted = re.sub(r"'[^']*'|\"[^\"$`\\]*\"", "", text)
    if _SPECIAL.search(unquoted):
        return None
    try:
        words = shlex.split(text)
    except ValueError:
        return None
    if words[:1] == ["exec"]:
        words = words[1:]
    program = words[0] if words else ""
    if not program or program.startswith("-") or ASSIGNMENT.match(program):
        return None
    return None if program in _BUILTINS else words
