"""Lets deploys side by side that need the same image embed it once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from azext_otelembed.target.embed_target import ToEmbed, ToPrepare


class BuildOnce:
    """Shared by the deploys of one command. Threads may call it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._built: set[str] = set()

    @contextmanager
    def turn(self, target: ToEmbed | ToPrepare) -> Iterator[bool]:
        """Waits for deploys that embed the same image; yields whether one of them has pushed it.

        While the collector isn't prepared, all deploys wait for the first one to prepare it.
        """
        key = str(target.image or target.collector)
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            yield key in self._built
            if isinstance(target, ToEmbed):
                self._built.add(key)
