"""The transport of the azure-containerregistry SDK, with the limits of all other requests.

The SDK follows redirects of every request, and sends the caller's token along in the body of the
one that exchanges it; it reads bodies of any size, and waits as long as Retry-After asks.
"""

from __future__ import annotations

from typing import Any

from azure.core.pipeline import Pipeline
from azure.core.pipeline.transport import HttpTransport

from azext_otelembed.azure.arm import MAX_RETRY_AFTER, make_transport
from azext_otelembed.azure.arm_errors import UnusableResponseError
from azext_otelembed.azure.arm_policies import BodyPolicy
from azext_otelembed.azure.session import Session
from azext_otelembed.urls import origin


class RegistryTransport(HttpTransport[Any, Any]):
    """Sends requests to the registry at `address` alone. Raises `UnusableResponseError`.

    Policies can't be given to the SDK instead: its two pipelines would share them.
    """

    def __init__(self, session: Session, address: str) -> None:
        self._origin = origin(address)
        self._transport = make_transport(session)
        self._pipeline: Any = Pipeline(self._transport, [BodyPolicy()])

    def send(self, request: Any, **options: Any) -> Any:
        """Sends a request, and reads the body."""
        if origin(request.url) != self._origin:
            raise UnusableResponseError(
                "The registry's answer leads to another address. It was not followed, and no token "
                "was sent there."
            )
        return self._pipeline.run(request, **options).http_response

    def sleep(self, duration: float) -> None:
        """Sleeps between two attempts."""
        if duration > MAX_RETRY_AFTER:
            raise UnusableResponseError(
                f"The registry accepts no request for another {duration:.0f} seconds."
            )
        self._transport.sleep(duration)

    def open(self) -> None:
        """Opens nothing: connections are opened by requests."""

    def close(self) -> None:
        """Closes the connections."""
        self._transport.close()

    def __exit__(self, *_: object) -> None:
        self.close()
