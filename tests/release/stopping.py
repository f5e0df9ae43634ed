"""A command whose process ends at one of its requests: nothing of it runs after that."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import requests


class Stopped(BaseException):
    """The process ended. No handler of errors catches it, as none runs after a kill."""


def stop_at(
    command: Callable[[], object], method: str, path: str, nth: int = 1, *, after: bool = True
) -> None:
    """Runs `command`, and ends it before or after the `nth` request of a kind was handled."""
    kind = re.compile(path)
    send = requests.Session.send
    left = nth

    def stopping(
        session: requests.Session, request: requests.PreparedRequest, **options: Any
    ) -> requests.Response:
        nonlocal left
        if left > 0:
            left -= request.method == method and kind.search(str(request.url)) is not None
            if left > 0:
                return send(session, request, **options)
            if after:
                send(session, request, **options).close()
        raise Stopped

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(requests.Session, "send", stopping)
        with pytest.raises(Stopped):
            command()
