"""The process that `tests.warm` forks az from. It runs in az's own interpreter.

On the control socket (SOCK_SEQPACKET) come requests: JSON of `arguments`, `environment` and
`folder`, with four file descriptors: stdin, stdout, stderr and the socket for the answers, which
are the process id at once and the exit status in the end. It ends with the control socket.
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import selectors
import socket
import sys
from pathlib import Path
from typing import Any


def serve(control: socket.socket) -> "dict[str, Any] | None":
    """In the forked process: what it shall run. In this one: None, when nobody asks any more."""
    running: dict[int, tuple[int, int, socket.socket]] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is not control:
                    selector.unregister(key.fd)
                    pid, learned, answers = running.pop(key.fd)
                    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                    with answers, contextlib.suppress(BrokenPipeError):
                        answers.send(str(status).encode())
                    os.close(key.fd)
                    load(learned)
                    continue
                data, files, _, _ = socket.recv_fds(control, 1 << 20, 4)
                if not data:
                    return None
                request: dict[str, Any] = json.loads(data)
                request["learned"] = os.memfd_create("learned", 0)
                pid = os.fork()
                if pid == 0:
                    for handle, (_, _, answers) in running.items():
                        os.close(handle)
                        answers.close()
                    become(request, files)
                    return request
                answers = socket.socket(fileno=files[3])
                answers.send(str(pid).encode())
                for file in files[:3]:
                    os.close(file)
                handle = os.pidfd_open(pid)
                running[handle] = (pid, request["learned"], answers)
                selector.register(handle, selectors.EVENT_READ)


def become(request: "dict[str, Any]", files: "list[int]") -> None:
    """Take the place of a process that was started as the request says."""
    for number, file in enumerate(files[:3]):
        os.dup2(file, number)
    for file in files:
        os.close(file)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.argv = ["az", *request["arguments"]]


def load(learned: int) -> None:
    """Import what a command has imported: the next one finds it there."""
    with os.fdopen(learned) as file:
        file.seek(0)
        names = [name for name in file.read().split() if name not in sys.modules]
    for name in names:
        # Some can't be imported by name: those that need them do that as they always did.
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    if names:
        gc.freeze()


def add_extensions() -> None:
    """Make the extensions' modules importable, as az does when a command needs one."""
    extensions = importlib.import_module("azure.cli.core.extension").get_extensions()
    sys.path += [extension.path for extension in extensions]


def main() -> None:
    """Serve; in the forked processes, run az."""
    sys.path[0] = str(Path.cwd())  # as `python -m` has it
    add_extensions()
    with socket.socket(fileno=int(sys.argv[1])) as control:
        request = serve(control)
    if request is not None:
        try:
            runpy.run_module("azure.cli", run_name="__main__", alter_sys=True)
        finally:
            with os.fdopen(request["learned"], "w") as file:
                file.write("\n".join(sys.modules))


if __name__ == "__main__":
    main()
