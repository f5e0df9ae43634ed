"""The pauses between a site's failed starts, and the block after several of them."""

from __future__ import annotations

import asyncio
import time

from localazure.runtime.platform_messages import PlatformMessages
from localazure.state import RuntimeSettings

_RETRY, _OLD_RETRY = 0.5, 1.25
_CHECKS = 24
"""Fractions of `RuntimeSettings.blocked`, App Service's 120 s: a site is started 60 s after a
failure or after its block; in the time of the old format, 150 s after each failure. While it is
blocked, the platform tries to start it every 5 s."""


class StartPauses:
    """Counts a site's failed starts in a row, on one worker, and waits after each of them.

    A block ends at its time, whatever is changed meanwhile.
    """

    def __init__(self, settings: RuntimeSettings) -> None:
        self.failures = 0
        self._settings = settings
        self._blocked_until = 0.0

    @property
    def is_blocked(self) -> bool:
        """Whether a block was not waited for yet."""
        return self._blocked_until > 0

    async def after_failure(self, messages: PlatformMessages) -> None:
        """Wait until the next start; the site is blocked if it has failed more than once."""
        blocked = self._settings.blocked
        if messages.is_old_format or self.failures < 2:
            messages.down()
            await asyncio.sleep(blocked * (_OLD_RETRY if messages.is_old_format else _RETRY))
        else:
            self._blocked_until = time.monotonic() + blocked
            messages.down(blocked)
            await self.while_blocked(messages)

    async def while_blocked(self, messages: PlatformMessages) -> None:
        """Wait for the end of the block and for the start that follows it."""
        blocked = self._settings.blocked
        while (rest := self._blocked_until - time.monotonic()) > 0:
            await asyncio.sleep(min(rest, blocked / _CHECKS))
            if self._blocked_until > time.monotonic():
                messages.still_blocked()
        self._blocked_until = 0.0
        messages.unblocked()
        await asyncio.sleep(blocked * _RETRY)
