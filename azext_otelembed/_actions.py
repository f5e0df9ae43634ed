"""How single arguments are read."""

from __future__ import annotations

import argparse
from typing import Any


class SubscriptionAction(argparse.Action):
    """--subscription as az reads it, without the warning that az doesn't know the subscription.

    With --credential nobody needs to be logged in, and then az knows none; without it, az's own
    error says all there is to say.
    """

    def __call__(
        self, _parser: Any, namespace: Any, value: Any, _option: str | None = None
    ) -> None:
        from azure.cli.core._profile import Profile

        known = Profile(cli_ctx=namespace._cmd.cli_ctx).load_cached_subscriptions()
        wanted = str(value).lower()
        ids = (one["id"] for one in known if wanted in (one["id"].lower(), one["name"].lower()))
        namespace._subscription = next(ids, value)
