"""Independent calls side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


def together(*calls: Callable[[], Any]) -> tuple[Any, ...]:
    """Runs `calls` at once and returns their results in order; raises the first one's error.

    The threads are daemons: when INT or TERM ends the command, a call that hangs can't hold it up.
    """
    results: list[Any] = [None] * len(calls)
    errors: list[BaseException | None] = [None] * len(calls)

    def run(position: int) -> None:
        try:
            results[position] = calls[position]()
        except BaseException as error:  # noqa: BLE001  # handed to the caller below, all of it
            errors[position] = error

    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        # Short joins: a join without a limit can't be interrupted by a signal on every platform.
        while thread.is_alive():
            thread.join(0.2)
    for error in errors:
        if error is not None:
            raise error
    return tuple(results)
