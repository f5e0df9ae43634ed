"""`make play`: leaves the double running, and says how to point your own shell's az at it."""

from __future__ import annotations

import shlex
import signal
import threading

from localazure.az import AZ, Az
from localazure.client import ROOT, LocalAzure

DIRECTORY = ROOT / ".local" / "play"
EXTENSIONS = ROOT / ".local" / "extensions"
SHOWN = ("AZURE_CONFIG_DIR", "AZURE_EXTENSION_DIR", "REQUESTS_CA_BUNDLE")


def main() -> None:
    """Starts the double and waits for Ctrl-C."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    local = LocalAzure.start(DIRECTORY)
    try:
        az = Az(local, DIRECTORY / "azure", EXTENSIONS)
        az.login()
        environment = az.environment()
        print("A local double of Azure is running. In another shell:\n")
        for name in SHOWN:
            print(f"  export {name}={shlex.quote(environment[name])}")
        print(f"  export PATH={shlex.quote(str(AZ.parent))}:$PATH")
        print("\n  az webapp list -o table")
        print("  az otelembed deploy -g shop-rg -n shop")
        print(f"  curl --cacert {shlex.quote(local.ca)} {local.sites['shop']}/")
        print("\nCtrl-C ends it.", flush=True)
        while not ended.wait(0.5):
            if local.process is not None and local.process.poll() is not None:
                raise SystemExit(f"localazure has ended: see {DIRECTORY / 'localazure.log'}")
    finally:
        local.stop()


if __name__ == "__main__":
    main()
