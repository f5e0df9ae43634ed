"""`python -m localazure --directory DIR`: run the double until TERM or INT."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from localazure import manifest, seed, world


def main(arguments: list[str] | None = None) -> int:
    """Run the double; 0 after TERM or INT."""
    parser = argparse.ArgumentParser(prog="localazure", description=__doc__)
    parser.add_argument("--directory", type=Path, required=True, help="where it keeps its things")
    parser.add_argument("--seed", default="demo", help="demo, empty, or a JSON file")
    parser.add_argument("--ca", type=Path, help="folder of the certificate authority")
    given = parser.parse_args(arguments)
    asyncio.run(_run(given.directory.resolve(), seed.load(given.seed), given.ca))
    return 0


async def _run(directory: Path, wanted: dict[str, object], ca: Path | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    made = await world.build(directory, ca)
    try:
        await seed.plant(made, wanted)
        manifest.write(made)
        print(f"localazure is ready: {made.management}", flush=True)
        await stop.wait()
    finally:
        manifest.remove(made)
        await made.close()


if __name__ == "__main__":
    sys.exit(main())
