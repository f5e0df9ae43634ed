"""First processes of containers: real programs, and loops that entrypoints are written with."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.launchers.first_process import Program, installed

Words = Callable[[Path], Sequence[str]]

_WORKER = "touch ready; exec sleep 1000"


def _shell(script: str, program: str = "sh") -> Words:
    return lambda folder: [installed(program), "-c", script, "app"]


def _python(script: str) -> Words:
    def words(folder: Path) -> Sequence[str]:
        (folder / "app.py").write_text(script)
        return [sys.executable, "-I", "-S", "app.py"]

    return words


def _foreman(folder: Path) -> Sequence[str]:
    (folder / "Procfile").write_text(f"web: {_WORKER}\n")
    return [installed("foreman", "ruby-foreman"), "start"]


def _gunicorn(folder: Path) -> Sequence[str]:
    (folder / "app.py").write_text("def app(environ, start):\n    return []\n")
    return [installed("gunicorn"), "--bind", "unix:ready", "--workers", "2", "app:app"]


def _unicorn(folder: Path) -> Sequence[str]:
    (folder / "config.ru").write_text("run ->(env) { [200, {}, []] }\n")
    return [installed("unicorn"), "--listen", str(folder / "ready"), "config.ru"]


def _uwsgi(folder: Path) -> Sequence[str]:
    return [
        *(installed("uwsgi-core"), "--master", "--processes", "2", "--die-on-term"),
        *("--socket", "ready"),
    ]


def _apache(folder: Path) -> Sequence[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    modules = "/usr/lib/apache2/modules"
    names = ("mpm_event", "authz_core")
    lines = [f"LoadModule {name}_module {modules}/mod_{name}.so" for name in names]
    lines += [f"Listen 127.0.0.1:{port}", "ServerName localhost", "ErrorLog /dev/stderr"]
    lines += [f"PidFile {folder}/ready", f"DefaultRuntimeDir {folder}", f"Mutex file:{folder}"]
    (folder / "apache.conf").write_text("\n".join([*lines, "User daemon", "Group daemon", ""]))
    program = installed("apache2", "apache2-bin")
    return [program, "-f", str(folder / "apache.conf"), "-D", "FOREGROUND"]


def _supervisord(folder: Path) -> Sequence[str]:
    # In /tmp, another supervisord of this test would remove the logs of its children.
    text = f"[supervisord]\nnodaemon=true\nuser=root\nchildlogdir={folder}\n[program:web]\n"
    (folder / "supervisord.conf").write_text(f'{text}command=sh -c "{_WORKER}"\n')
    return [installed("supervisord", "supervisor"), "-n", "-c", "supervisord.conf"]


def _nginx(folder: Path) -> Sequence[str]:
    temporary = "\n".join(
        f"{name}_temp_path {folder};" for name in ("fastcgi", "uwsgi", "scgi", "proxy")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log stderr; worker_processes 2; events {{}}\n"
        f"http {{ access_log off; client_body_temp_path {folder}; {temporary}\n"
        f"server {{ listen unix:{folder}/ready; }} }}\n"
    )
    return [installed("nginx", "nginx-light"), "-c", str(folder / "nginx.conf")]


def _php_fpm(folder: Path) -> Sequence[str]:
    (folder / "fpm.conf").write_text(
        f"[global]\nerror_log=/dev/stderr\n[www]\nuser=daemon\nlisten={folder}/ready\n"
        "pm=static\npm.max_children=2\n"
    )
    found = next(
        (f"php-fpm{n}" for n in ("8.2", "8.4") if os.access(f"/usr/sbin/php-fpm{n}", 1)), ""
    )
    return [installed(found or "php-fpm", "php-fpm"), "-F", "-R", "-y", str(folder / "fpm.conf")]


def _puma(*more: str) -> Words:
    def words(folder: Path) -> Sequence[str]:
        (folder / "config.ru").write_text("run ->(env) { [200, {}, []] }\n")
        return [installed("puma"), "-b", f"unix://{folder}/ready", *more]

    return words


_NODE = """\
const cluster = require("cluster");
if (cluster.isPrimary) {
  cluster.fork(); cluster.fork();
  process.on("SIGTERM", () => cluster.disconnect(() => process.exit(3)));
} else {
  process.on("SIGTERM", () => {});
  require("http").createServer((q, a) => a.end()).listen("ready");
}
"""


def _node(folder: Path) -> Sequence[str]:
    (folder / "app.js").write_text(_NODE)
    return [installed("node", "nodejs"), "app.js"]


def _services(*words: str) -> Words:
    """A supervisor of services, which takes a folder with one folder for each of them."""

    def command(folder: Path) -> Sequence[str]:
        run = folder / "services" / "web" / "run"
        run.parent.mkdir(parents=True, exist_ok=True)
        run.write_text(f"#!/bin/sh\ncd {folder}; {_WORKER}\n")
        run.chmod(0o755)
        package = {"runsvdir": "runit", "s6-svscan": "s6"}[words[0]]
        return [installed(words[0], package), *words[1:], str(folder / "services")]

    return command


def _init(*words: str) -> Words:
    return lambda folder: [installed(words[0]), *words[1:], "sh", "-c", _WORKER]


# A loop of each kind: the first child that ends decides.
_OS_WAIT = """\
import os, signal, time
if os.fork() == 0:
    open("ready", "w").close()
    time.sleep(1000)
signal.signal(signal.SIGTERM, lambda *_: os._exit(5))
os.wait()
os._exit(6)
"""
_CHLD = (
    "set -m; trap 'exit 6' CHLD; trap 'exit 5' TERM; : >ready; sleep 1000 & while :; do wait; done"
)
_PROCESS_WAIT = """\
fork { File.write("ready", ""); sleep 1000 }
trap("TERM") { exit! 5 }
Process.wait
exit! 6
"""
_KILL_ALL = """\
import os, signal, time
def stop(*_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.kill(-1, signal.SIGTERM)
    try:
        while True:
            os.wait()
    except ChildProcessError:
        os._exit(5)
signal.signal(signal.SIGTERM, stop)
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    open("ready", "w").close()
    time.sleep(1000)
while True:
    time.sleep(1000)
"""
_TERM_CHILDREN = _KILL_ALL.replace(
    "    os.kill(-1, signal.SIGTERM)\n",
    "    for pid in open('/proc/self/task/%d/children' % os.getpid()).read().split():\n"
    "        os.kill(int(pid), signal.SIGTERM)\n",
)
_TERM_OWN_CHILD = _KILL_ALL.replace("os.kill(-1,", "os.kill(child,").replace(
    "if os.fork() == 0", "child = os.fork()\nif child == 0"
)

PROGRAMS = {
    "foreman": Program(_foreman),
    "gunicorn": Program(_gunicorn, statuses=(3, 4)),
    "unicorn": Program(_unicorn),
    "uwsgi": Program(_uwsgi),
    "apache2": Program(_apache, statuses=(15,)),
    "supervisord": Program(_supervisord),
    "nginx": Program(_nginx),
    "php-fpm": Program(_php_fpm),
    "puma": Program(_puma()),
    "puma cluster": Program(_puma("-w", "2")),
    "node cluster": Program(_node),
    "s6-svscan": Program(_services("s6-svscan")),
    "runsvdir": Program(_services("runsvdir")),
    "tini": Program(_init("tini", "--")),
    "tini -g": Program(_init("tini", "-g", "--")),
    "dumb-init": Program(_init("dumb-init")),
    "dumb-init -c": Program(_init("dumb-init", "-c")),
    "python os.wait": Program(_python(_OS_WAIT)),
    "ruby Process.wait": Program(lambda folder: [installed("ruby"), "-e", _PROCESS_WAIT]),
    "bash trap CHLD": Program(_shell(_CHLD, "bash")),
    "kill -1": Program(_python(_KILL_ALL)),
    "TERM to all children": Program(_python(_TERM_CHILDREN)),
}
OWN_CHILDREN = Program(_python(_TERM_OWN_CHILD))
"""Sends TERM to the child that it has started, and waits until it has no child at all."""
