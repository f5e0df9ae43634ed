"""`python -m localazure --directory DIR`: run the double until TERM or INT.

With --attended also until standard input ends: nobody is left who could stop it.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from localazure import composition, manifest, seed


def main(arguments: list[str] | None = None) -> int:
    """Run the double; 0 after TERM or INT."""
    parser = argparse.ArgumentParser(prog="localazure", description=__doc__)
    parser.add_argument("--directory", type=Path, required=True, help="where it keeps its things")
    parser.add_argument("--seed", default="demo", help="demo, empty, or a JSON file")
    parser.add_argument("--ca", type=Path, help="folder of the certificate authority")
    parser.add_argument("--attended", action="store_true", help="end with standard input")
    given = parser.parse_args(arguments)
    wanted = seed.load(given.seed)
    asyncio.run(_run(given.directory.resolve(), wanted, given.ca, attended=given.attended))
    return 0


async def _run(
    directory: Path, wanted: dict[str, object], ca: Path | None, *, attended: bool
) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if attended:
        loop.add_reader(sys.stdin, stop.set)
    made = await composition.build(directory, ca)
    try:
        await seed.plant(made, wanted)
        manifest.write(made)
        print(f"localazure is ready: {made.management}", flush=True)
        await stop.wait()
        loop.remove_reader(sys.stdin)
    finally:
        manifest.remove(made)
        await made.close()


if __name__ == "__main__":
    sys.exit(main())
