"""`make play` and `make demo`: their output, and their messages on a limited machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from localazure.az import AZ, Az
from localazure.client import ROOT, LocalAzure
from localazure.demo import EXTENSIONS, Demo

DEAD = "http://127.0.0.1:9"
"""A proxy without a listener: the port of the discard service."""


@pytest.fixture
def playing(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "localazure.play", str(tmp_path / "play")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        yield process
        process.kill()


@pytest.mark.skipif(not AZ.exists(), reason="`make test` installs az")
def test_play_runs_a_double_that_a_shell_behind_a_proxy_can_reach(
    playing: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert playing.stdout is not None
    said = []
    for line in playing.stdout:
        said.append(line)
        if "Ctrl-C" in line:
            break
    exports = [line.strip() for line in said if line.strip().startswith("export ")]
    shell = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "no_proxy": "example.com"}
    proxies = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"), DEAD)
    listed = subprocess.run(
        ["/bin/sh", "-c", "\n".join([*exports, "az webapp list --query '[].name'"])],
        cwd=tmp_path,
        env={**shell, **proxies},
        capture_output=True,
        text=True,
        check=False,
    )
    assert listed.returncode == 0, listed.stderr
    assert json.loads(listed.stdout) == ["shop"]
    double = LocalAzure.attach(tmp_path / "play")
    playing.send_signal(signal.SIGINT)
    assert playing.wait(30) == 0
    assert not Path(f"/proc/{double.info['pid']}").exists()


def test_the_demo_shows_the_end_of_the_log_of_a_shop_that_does_not_start(tmp_path: Path) -> None:
    shop = {"name": "shop", "group": "shop-rg", "image": "{shopregistry}/nothing:1"}
    seed = {
        "groups": [{"name": "shop-rg", "location": "westeurope"}],
        "registries": [{"name": "shopregistry", "group": "shop-rg", "anonymous_pull": True}],
        "sites": [shop],
    }
    with (
        LocalAzure.start(tmp_path / "demo", seed, ca=tmp_path / "ca") as local,
        pytest.raises(SystemExit) as ended,
    ):
        Demo(local, Az(local, tmp_path / "azure", EXTENSIONS)).request_shop()
    said, *lines = str(ended.value).splitlines()
    assert said == (
        "demo: the shop answered with HTTP 503, not 200. The last lines of the shop's log:"
    )
    assert any("LastError: ImagePullFailure" in line for line in lines)


# Calls a function as a user without rights; with "forbidden", in a user namespace that allows no
# further ones.
_WITHOUT_ROOT = """
import ctypes, importlib, os, sys
from pathlib import Path

how, module, name, folder, uid = *sys.argv[1:], 65534
function = getattr(importlib.import_module(module), name)
if how == "forbidden":
    ready, mapped = os.pipe(), os.pipe()
    child = os.fork()
    if child:
        os.read(ready[0], 1)
        for table in ("uid_map", "gid_map"):
            Path(f"/proc/{child}/{table}").write_text("0 0 65536")
        os.write(mapped[1], b"x")
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    assert ctypes.CDLL(None).unshare(0x10000000) == 0  # CLONE_NEWUSER
    os.write(ready[1], b"x")
    os.read(mapped[0], 1)
    Path("/proc/sys/user/max_user_namespaces").write_text("0")
os.setgroups([])
os.setresgid(uid, uid, uid)
os.setresuid(uid, uid, uid)
print(function(Path(folder)))
"""


def _without_root(how: str, module: str, name: str) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        return subprocess.run(
            [sys.executable, "-c", _WITHOUT_ROOT, how, module, name, f"{folder}/azure"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": ".", "HOME": folder},
            capture_output=True,
            text=True,
            check=False,
        )


only_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can take its own rights away, and the machine's"
)
FORBIDDEN = "localazure can't run containers on this machine: "


@only_root
def test_the_demo_reports_at_once_that_this_machine_can_run_no_containers() -> None:
    done = _without_root("forbidden", "localazure.demo", "show")
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith(f"demo: {FORBIDDEN}")
    assert "user namespaces are not allowed" in done.stderr
    assert "user.max_user_namespaces" in done.stderr
    assert done.stdout == ""


@only_root
def test_play_reports_that_its_sites_will_not_start_on_this_machine() -> None:
    done = _without_root("forbidden", "localazure.play", "reduced")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"The sites of the double can't start. {FORBIDDEN}")


@only_root
def test_play_reports_the_limits_without_root() -> None:
    done = _without_root("allowed", "localazure.play", "reduced")
    assert done.returncode == 0, done.stderr
    if FORBIDDEN in done.stdout:
        pytest.skip("this machine has no user namespaces for users without rights")
    assert done.stdout.startswith("Not root: in a container every file belongs to the one user")
