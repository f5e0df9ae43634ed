"""`python -m localazure --directory DIR`: run the double until TERM or INT.

With --attended also until standard input ends, with --owner until that process ends: the double
never outlives the process that started it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from pathlib import Path

from localazure import composition, connection_info, seed
from localazure.double import Double
from localazure.shutdown import Shutdown


def main(arguments: list[str] | None = None) -> int:
    """Run the double; 0 after TERM or INT."""
    parser = argparse.ArgumentParser(prog="localazure", description=__doc__)
    parser.add_argument("--directory", type=Path, required=True, help="folder for its files")
    parser.add_argument("--seed", default="demo", help="demo, empty, or a JSON file")
    parser.add_argument("--ca", type=Path, help="folder of the certificate authority")
    parser.add_argument("--attended", action="store_true", help="end with standard input")
    parser.add_argument("--owner", type=int, metavar="PID", help="end with this process")
    asyncio.run(_run(parser.parse_args(arguments)))
    return 0


async def _run(given: argparse.Namespace) -> None:
    double: Double | None = None

    def kill() -> None:
        if double is not None:
            double.runtime.kill()

    shutdown = Shutdown(kill, stdin=given.attended, owner=given.owner)
    wanted = seed.load(given.seed)
    double = await composition.build(given.directory.resolve(), given.ca)
    serving = asyncio.create_task(_serve(double, wanted))
    requested = asyncio.create_task(shutdown.requested.wait())
    try:
        await asyncio.wait({serving, requested}, return_when=asyncio.FIRST_COMPLETED)
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
    finally:
        shutdown.request()
        connection_info.remove(double)
        await double.close()


async def _serve(double: Double, wanted: dict[str, object]) -> None:
    """Add the seed's resources and write the addresses; then serve until cancelled."""
    await seed.apply(double, wanted)
    connection_info.write(double)
    print(f"localazure is ready: {double.management}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    sys.exit(main())
