"""Runs `otelcol validate` on this machine, in a sandbox that needs no rights."""

from __future__ import annotations

import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from azext_otelembed.builders.subprocess_log import run
from azext_otelembed.collector.config import Config
from azext_otelembed.deadline import Deadline
from azext_otelembed.errors import DeadlineExceeded, Refused
from azext_otelembed.image.prepared_collector import PreparedCollector
from azext_otelembed.progress import Report
from azext_otelembed.redaction import Secrets
from azext_otelembed.registry.client import RegistryClient
from azext_otelembed.validation import sandbox_start
from azext_otelembed.validation.binary_cache import BinaryCache
from azext_otelembed.validation.otelcol_output import problems_of
from azext_otelembed.validation.placeholders import placeholders
from azext_otelembed.validation.verdict import LOCAL, Verdict

SECONDS = 60.0
"""For the run itself: `validate` reads the file and ends."""
_ELSEWHERE = "Add `--validate acr`: then a run of ACR Tasks validates it, where the registry is."


def check_machine() -> None:
    """Raises `Refused` where the collector's binary, for Linux on x86-64, can't run."""
    system, machine = platform.system(), platform.machine()
    if (system, machine) != ("Linux", "x86_64") or not sys.executable:
        raise Refused(
            f"The collector's binary is for Linux on x86-64; this is {system} on {machine}.",
            _ELSEWHERE,
        )


def validate_locally(
    client: RegistryClient,
    prepared: PreparedCollector,
    config: Config,
    cache: BinaryCache,
    report: Report,
    secrets: Secrets,
    deadline: Deadline,
) -> Verdict:
    """Run the binary of the prepared collector in the registry of `client`.

    Raises `Refused` where it can't run here or is killed, and the errors of `BinaryCache`.
    """
    check_machine()
    binary = cache.binary(client, prepared, report)
    return validate_with(binary, str(prepared.upstream), config, secrets, deadline)


def validate_with(
    binary: Path, collector: str, config: Config, secrets: Secrets, deadline: Deadline
) -> Verdict:
    """Run `binary`, that of the collector image `collector`. Raises `Refused` as above."""
    status, lines = run_in_sandbox(
        binary, config.data, placeholders(config.root), secrets, deadline
    )
    held = [line.split()[1:] for line in lines if line.startswith(sandbox_start.FIRST_LINE)]
    problems = tuple(problems_of(lines, config)) if status == 1 else ()
    if not held or (status and not problems):
        last = next((line for line in reversed(lines) if line.strip()), "no output")
        raise Refused(
            f"`otelcol validate` of {collector} can't be run here (status {status}): "
            f"{secrets.brief(last)}",
            _ELSEWHERE,
        )
    return Verdict(
        LOCAL,
        collector,
        problems,
        tuple(one for one in sandbox_start.ALL if one not in held[0]),
    )


def run_in_sandbox(
    binary: Path,
    config: bytes,
    environment: dict[str, str],
    secrets: Secrets,
    deadline: Deadline,
) -> tuple[int, Sequence[str]]:
    """Exit status and output of `binary validate`; the first line is that of `sandbox_start`."""
    with tempfile.TemporaryDirectory(prefix="otelembed-") as folder:
        file = Path(folder) / "config.yml"
        file.write_bytes(config)
        start = [sys.executable, "-I", "-S", sandbox_start.__file__, folder, str(binary)]
        command = [*start, "validate", "--config=file:config.yml"]
        limit = Deadline(min(SECONDS, max(deadline.remaining, 0.1)))
        try:
            ended = run(command, environment, secrets, lambda _line: None, limit)
        except OSError as error:
            return 126, [str(error.strerror or error)]
        except DeadlineExceeded:
            deadline.check("`otelcol validate` had ended")
            return 124, [f"it had not ended after {SECONDS:.0f} s"]
    return ended.status, ended.lines
