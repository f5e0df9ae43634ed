"""argparse actions of single arguments."""

from __future__ import annotations

import argparse
from typing import Any


class SubscriptionAction(argparse.Action):
    """Reads --subscription as az does, without az's warning about an unknown subscription.

    With --credential, `az login` isn't needed and az's list of subscriptions may be empty. Without
    --credential, az's own error follows.
    """

    def __call__(
        self, _parser: Any, namespace: Any, value: Any, _option: str | None = None
    ) -> None:
        from azure.cli.core._profile import Profile

        known = Profile(cli_ctx=namespace._cmd.cli_ctx).load_cached_subscriptions()
        wanted = str(value).lower()
        ids = (one["id"] for one in known if wanted in (one["id"].lower(), one["name"].lower()))
        namespace._subscription = next(ids, value)
