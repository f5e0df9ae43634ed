"""`make play`: keeps a double running, and prints the settings for az in another shell."""

from __future__ import annotations

import shlex
import signal
import sys
import threading
from pathlib import Path

from localazure.az import AZ, Az
from localazure.client import ROOT, LocalAzure
from localazure.runtime import sandbox

DIRECTORY = ROOT / ".local" / "play"
EXTENSIONS = ROOT / ".local" / "extensions"
SHOWN = ("AZURE_CONFIG_DIR", "AZURE_EXTENSION_DIR", "REQUESTS_CA_BUNDLE")
DIRECT = "localhost,127.0.0.1"
"""Hosts that are reached without the shell's proxy."""


def main() -> None:
    """Run the double until Ctrl-C; the folder of its state can be given on the command line."""
    directory = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else DIRECTORY
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    limits = reduced(directory)
    with LocalAzure.start(directory) as local:
        az = Az(local, directory / "azure", EXTENSIONS)
        az.login()
        environment = az.environment()
        print("A local double of Azure is running. Type this in another shell:\n")
        for name in SHOWN:
            print(f"  export {name}={shlex.quote(environment[name])}")
        print(f"  export NO_PROXY={DIRECT} no_proxy={DIRECT}")
        print(f"  export PATH={shlex.quote(str(AZ.parent))}:$PATH")
        print("\n  az webapp list -o table")
        print("  az otelembed deploy -g shop-rg -n shop")
        print(f"  curl --cacert {shlex.quote(local.ca)} {local.sites['shop']}/")
        if limits:
            print(f"\n{limits}")
        print("\nPress Ctrl-C to stop the double.", flush=True)
        while not ended.wait(0.5):
            if local.process is not None and local.process.poll() is not None:
                raise SystemExit(f"localazure has exited. Its log: {directory / 'localazure.log'}")


def reduced(directory: Path) -> str:
    """The limits of the double's sites on this machine; empty if there are none."""
    try:
        found = sandbox.detect(directory)
    except sandbox.NoSandboxError as error:
        return f"The sites of the double can't start. {error}"
    return "" if found.root else found.summary


if __name__ == "__main__":
    main()
