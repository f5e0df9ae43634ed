"""Makes a target exist: prepares the collector if need be, embeds it, pushes the image."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from azext_otelembed.azure.session import Session
from azext_otelembed.console import Step
from azext_otelembed.deadline import Deadline
from azext_otelembed.embedding.init_check import check_s6_init
from azext_otelembed.embedding.push import push_embedded
from azext_otelembed.embedding.shell_check import check_shell
from azext_otelembed.target.embed_target import Existing, Found, ToEmbed, ToPrepare
from azext_otelembed.target.finder import TargetFinder
from azext_otelembed.target.prepared_images import prepare_images

_TICK = 0.2
"""Seconds between two checks of whether the time is up."""
_UNCHANGED = "the site is unchanged: run the same command again to continue"


def embed_target(
    session: Session,
    finder: TargetFinder,
    target: Found,
    standing: Callable[[str], None],
    step: Step,
) -> Existing:
    """The target, in the registry of `finder`; one that exists is returned as it is.

    `standing` is told what a failure would leave behind. Raises `Refused`, before anything is
    written, for a base without a shell or one that doesn't work with the launcher.
    """
    client, options = finder.client, finder.options
    if isinstance(target, ToPrepare):
        if options.shell_image is None:
            check_shell(client, target.source, step.report)
        check_s6_init(client, target.source, options.launcher.kind, step.report)
        standing(f"the collector may have been copied to the registry; {_UNCHANGED}")
        prepared = prepare_images(session, client, options, step)
        target = finder.embedded_in(target.source, prepared, unwrap=target.unwrap)
    if isinstance(target, Existing):
        return target
    standing(f"the registry may hold parts of the new image; {_UNCHANGED}")
    step.say(f"embedding the collector in {target.base}")
    push_embedded(client, target.embedded, step.report)
    return target.existing


class BuildOnce:
    """Lets the deploys of one command that need the same image embed it once. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._built: set[str] = set()

    @contextmanager
    def turn(self, target: ToEmbed | ToPrepare, deadline: Deadline) -> Iterator[bool]:
        """Waits for deploys that embed the same image; yields whether one of them has pushed it.

        While the collector isn't prepared, all deploys wait for the first one to prepare it.
        """
        key = str(target.image or target.collector)
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        while not lock.acquire(timeout=_TICK):
            deadline.check("another deploy of this command had embedded the same image")
        try:
            yield key in self._built
            if isinstance(target, ToEmbed):
                self._built.add(key)
        finally:
            lock.release()
