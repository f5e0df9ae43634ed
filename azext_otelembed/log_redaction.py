"""Keeps addresses with signatures out of the debug log.

`az --debug` sets the root logger to DEBUG, and urllib3 then logs each request's path with its
query: SAS signatures of blob storage, states of uploads. azure-core warns about cut downloads,
which are retried here and are no news for anyone.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGERS = (
    "urllib3.connectionpool",
    "urllib3.util.retry",
    "azure.core.pipeline.transport._requests_basic",
)


class _WhileCalling(logging.Filter):
    """Drops records of threads that are inside `no_http_logs()`; other threads' records pass."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.local()

    @property
    def depth(self) -> int:
        return int(getattr(self._thread, "depth", 0))

    @depth.setter
    def depth(self, value: int) -> None:
        self._thread.depth = value

    def filter(self, record: logging.LogRecord) -> bool:
        return self.depth == 0


_FILTER = _WhileCalling()


@contextmanager
def no_http_logs() -> Iterator[None]:
    """While inside, this thread's HTTP libraries log nothing, at any level."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_FILTER)  # adding it again does nothing
    _FILTER.depth += 1
    try:
        yield
    finally:
        _FILTER.depth -= 1
