"""`az otelembed logs` and `doctor`: output, exit status, secrets, signals."""

from __future__ import annotations

import json
import queue
import re
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

from tests.e2e import images
from tests.e2e.support import API_KEY, Cloud, Site, eventually

SCRIPT = """\
echo "otelembed: 0123456789ab starts" >&2
echo "otelembed: the collector exited with status 1; next start in 4 s" >&2
echo "the key is $PAYMENT_API_KEY"
printf '\\033]0;owned\\007\\033[2Jred\\n##vso[task.complete]\\n'
exec /usr/local/bin/shop
"""


@pytest.fixture(scope="module")
def talker(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site whose app writes secrets, control sequences and lines like the launcher's."""
    folder: Path = tmp_path_factory.mktemp("talker")
    layout = images.variant(folder, Entrypoint=["/bin/sh", "-c", SCRIPT], Cmd=[])
    site = cloud.make_site(layout=layout)
    eventually(lambda: "the key is" in site.log())
    return site


def logs(site: Site, *arguments: str) -> tuple[str, ...]:
    return ("otelembed", "logs", *site.arguments, *arguments)


def test_a_line_has_its_source_and_no_secret(talker: Site) -> None:
    answer = talker.cloud.run(*logs(talker, "--lines", "1000", "-o", "json"))
    assert answer.returncode == 0, answer.show()
    assert answer.writes == []
    found = {line["text"]: line["source"] for line in answer.json}
    assert found["otelembed: 0123456789ab starts"] == "otelembed"
    assert found["otelembed: the collector exited with status 1; next start in 4 s"] == "otelembed"
    assert found["the key is ***"] == "app"
    assert found["Site started."] == "platform"
    assert API_KEY not in answer.stdout
    assert "\x1b" not in answer.stdout
    assert "##vso[" not in answer.stdout
    assert all(re.fullmatch(r"20[\d-]{8}T[\d:.]+Z", line["time"]) for line in answer.json)


def test_a_person_reads_text_with_a_prefix(talker: Site) -> None:
    answer = talker.cloud.run(*logs(talker, "--collector"))
    assert answer.returncode == 0, answer.show()
    assert [line.split()[1] for line in answer.stdout.splitlines()] == ["otelembed", "otelembed"]
    assert answer.stdout.endswith("next start in 4 s\n")
    missing = talker.cloud.run("otelembed", "logs", "-g", talker.group, "-n", "no-such-site")
    assert missing.returncode == 3
    assert "Web App 'no-such-site' was not found in resource group" in missing.stderr
    assert "az webapp list" in missing.stderr
    none = talker.cloud.run(*logs(talker, "--lines", "0"))
    assert none.returncode == 1
    assert "--lines 0 isn't a number of at least 1" in none.stderr


class Lines:
    """The lines of a pipe, read in a thread: `select` doesn't see buffered ones."""

    def __init__(self, stream: IO[str]) -> None:
        self._queue: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            self._queue.put(line)

    def until(self, condition: Callable[[str], bool], within: float = 60) -> list[str]:
        """The next lines up to the first one that fits."""
        found: list[str] = []
        deadline = time.monotonic() + within
        while not found or not condition(found[-1]):
            try:
                found.append(self._queue.get(timeout=max(deadline - time.monotonic(), 0)))
            except queue.Empty:
                pytest.fail(f"not seen within {within:.0f} s: {found}")
        return found


def test_a_followed_log_goes_on_after_a_restart_and_ends_at_ctrl_c(talker: Site) -> None:
    process = talker.cloud.az.popen(*logs(talker, "--follow", "--lines", "5", "-o", "json"))
    assert process.stdout is not None
    lines = Lines(process.stdout)
    try:
        first = lines.until(lambda _line: True)
        assert json.loads(first[0])["source"] in ("app", "platform", "otelembed")
        with talker.cloud.fault(service="arm", path="/containerlogs$", status=503, times=2):
            talker.cloud.arm("POST", f"{talker.id}/restart")
            seen = lines.until(lambda line: "0123456789ab starts" in line)
        later = lines.until(lambda line: "the key is" in line)
        assert API_KEY not in "".join([*first, *seen, *later])
        process.send_signal(signal.SIGINT)
        said = process.stderr.read() if process.stderr else ""
        process.wait(60)
    finally:
        process.kill()
    assert process.returncode == 130, said
    assert "SIGINT received: nothing was changed" in said


def test_a_reader_that_ends_first_is_no_error(talker: Site) -> None:
    process = talker.cloud.az.popen(*logs(talker, "--follow", "--lines", "1000"))
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    talker.cloud.arm("POST", f"{talker.id}/restart")
    try:
        process.wait(60)
        said = process.stderr.read() if process.stderr else ""
    finally:
        process.kill()
    assert process.returncode == 141, said
    assert "Traceback" not in said
    assert "BrokenPipe" not in said


def test_doctor_ends_with_1_and_names_the_broken_links(talker: Site) -> None:
    answer = talker.cloud.run("otelembed", "doctor", *talker.arguments)
    assert answer.returncode == 1, answer.show()
    assert answer.writes == []
    assert answer.json["healthy"] is False
    assert [one["link"] for one in answer.json["links"]][:3] == ["site", "pull", "image"]
    assert "otelembed: image is broken: " in answer.stderr
    assert re.search(r"image is broken: .+[^.]\. Embed it: `az ", answer.stderr)
    assert f"`az otelembed deploy {' '.join(talker.arguments)}`" in answer.stderr
    assert API_KEY not in answer.stdout + answer.stderr


@pytest.mark.parametrize(("encoding", "mark"), [("utf-8", "✗"), ("ascii", "x")])
def test_doctor_shows_a_person_marks_that_the_terminal_has(
    talker: Site, encoding: str, mark: str
) -> None:
    screen = talker.cloud.on_terminal(
        *("otelembed", "doctor", *talker.arguments),
        columns=300,
        env={"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
    )
    assert screen.returncode == 1, screen.text
    assert re.search(rf"^{mark} image +\S+ has no collector", screen.text, re.MULTILINE), (
        screen.text
    )
    assert "\\u27" not in screen.text
    assert "{" not in screen.text
