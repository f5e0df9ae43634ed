"""A caller whose process ends at one of its requests: nothing of it runs after that."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import requests

from tests.release.support import Hand


class Stopped(BaseException):
    """The process ended. No handler of errors catches it, as none runs after a kill."""


class StoppingSession(requests.Session):
    """Ends the process before or after the `nth` request of a kind was handled."""

    def __init__(self, method: str, path: str, nth: int, *, after: bool) -> None:
        super().__init__()
        self.trust_env = False
        self._kind = (method, re.compile(path))
        self._left = nth
        self._after = after

    def request(self, method: Any, url: Any, *args: Any, **options: Any) -> requests.Response:
        """The request, which may be the last one."""
        wanted, path = self._kind
        if self._left <= 0:
            raise Stopped
        self._left -= method == wanted and path.search(str(url)) is not None
        if self._left == 0 and not self._after:
            raise Stopped
        answer = super().request(method, url, *args, **options)
        if self._left == 0:
            raise Stopped
        return answer


def stopping(hand: Hand, method: str, path: str, nth: int = 1, *, after: bool = True) -> Hand:
    """The same caller, who is stopped at that request."""
    session = StoppingSession(method, path, nth, after=after)
    transport = {**hand.session.transport, "session": session, "session_owner": False}
    return replace(hand, session=replace(hand.session, transport=transport))
