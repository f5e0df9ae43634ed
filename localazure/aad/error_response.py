"""Error responses of Entra ID."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """An AADSTS error: `number` and `text` after the prefix `AADSTS`, `status` of HTTP."""

    status: int
    error: str
    """The error code of OAuth, such as `invalid_client`."""
    number: int
    text: str

    def body(self, correlation: str) -> dict[str, Any]:
        """The body of the response."""
        trace = str(uuid.uuid4())
        now = f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M:%SZ}"
        return {
            "error": self.error,
            "error_description": (
                f"AADSTS{self.number}: {self.text}\r\nTrace ID: {trace}\r\n"
                f"Correlation ID: {correlation}\r\nTimestamp: {now}"
            ),
            "error_codes": [self.number],
            "timestamp": now,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": f"https://login.microsoftonline.com/error?code={self.number}",
        }
