"""Azure's time, as its answers tell it: the clock of this machine may be minutes off."""

from __future__ import annotations

import time
from typing import Any

from azext_otelembed.registry.http_headers import timestamp


class Clock:
    """The time in seconds since the epoch, by the `Date` of the last answer (RFC 9110, 6.6.1).

    Before the first answer it is the time of this machine. A `Date` has whole seconds.
    """

    def __init__(self) -> None:
        self._ahead = 0.0

    def set(self, date: str | None) -> None:
        """Takes the `Date` of an answer that has just come; another value changes nothing."""
        if (at := timestamp(date)) is not None:
            self._ahead = at - time.time()

    def now(self) -> float:
        """Azure's time."""
        return time.time() + self._ahead

    def policy(self) -> Any:
        """A policy of azure-core's pipeline that reads the time from each answer."""
        from azure.core.pipeline.policies import SansIOHTTPPolicy

        class ClockPolicy(SansIOHTTPPolicy[Any, Any]):
            def on_response(_self, _request: Any, response: Any) -> None:  # noqa: N805
                self.set(response.http_response.headers.get("Date"))

        return ClockPolicy()
