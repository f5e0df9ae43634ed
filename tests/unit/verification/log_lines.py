"""Container logs for tests, in both formats, a line a second."""

from __future__ import annotations

NEW = "shopregistry.azurecr.io/shop:1.0-otelembed-0123456789ab"
OLD = "shopregistry.azurecr.io/shop:1.0"
SECOND = 1795640400.0
"""2026-11-25T21:00:00Z, the time of the first line."""


def log(*lines: str, start: int = 0, digits: int = 3) -> str:
    """The lines with stamps a second apart; `digits` are in the fraction."""
    stamps = (
        f"2026-11-25T21:{(start + n) // 60:02}:{(start + n) % 60:02}.{'0' * digits}Z"
        for n in range(len(lines))
    )
    return "".join(f"{stamp} {line}\n" for stamp, line in zip(stamps, lines, strict=True))


def old_start(name: str = "shop_0_0a0a0a0a", image: str = NEW) -> tuple[str, ...]:
    """The start of a container in the old format, up to the warm-up request."""
    return (
        f"INFO  - Pulling image: {image}",
        f"INFO  - docker run -d --expose=8080 --name {name} -e KEY=hidden-value {image}  ",
        f"INFO  - Initiating warmup request to container {name} for site shop",
    )


def old_ready(name: str = "shop_0_0a0a0a0a") -> str:
    """The container answers."""
    return (
        f"INFO  - Container {name} for site shop initialized successfully and is ready to serve "
        "requests."
    )


def new_start(name: str = "0123456789ab_shop", image: str = NEW) -> tuple[str, ...]:
    """The start of a container in the new format, up to its first second."""
    return (
        f"Pulling image: {image}.",
        f"Creating container with image: {image} from registry: shopregistry.azurecr.io and fully "
        f"qualified image name: {image}",
        f"Starting container: {name}.",
    )


def new_ready(seconds: float = 1.0) -> tuple[str, str]:
    """The site answers its probe, which began so many seconds before."""
    return f"Site startup probe succeeded after {seconds} seconds.", "Site started."


def stopped(name: str) -> tuple[str, ...]:
    """A container is stopped, as after a good start of another one."""
    return (
        "State: Stopping, Action: StoppingSite, LastError: , LastErrorTimestamp: 01/01/0001 "
        "00:00:00, LastErrorDetails: , Details: Site started at 11/25/2026 20:00:00 (UTC), "
        "DetailsLevel: INFO",
        f"Stopping container: {name}.",
        f"Deleting container: {name}. Retry count = 0",
    )
