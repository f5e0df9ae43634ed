"""Keeps addresses with signatures out of the debug log.

`az --debug` sets the root logger to DEBUG, and urllib3 then logs each request's path with its
query: SAS signatures of blob storage, states of uploads. azure-core warns about incomplete
downloads, which are retried here.
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


class _Thread(threading.local):
    depth = 0
    """The number of `no_http_logs` blocks that this thread is inside."""


_THREAD = _Thread()


def _is_logged(_: logging.LogRecord) -> bool:
    return _THREAD.depth == 0


@contextmanager
def no_http_logs() -> Iterator[None]:
    """The HTTP libraries log nothing in this thread inside the block."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_is_logged)  # adding it again does nothing
    _THREAD.depth += 1
    try:
        yield
    finally:
        _THREAD.depth -= 1
