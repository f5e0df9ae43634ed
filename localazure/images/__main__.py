"""`python -m localazure.images collector|app|tools|buildx`: build what is out of date."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from localazure.images import build
from localazure.images.errors import BuildError

_LOCAL = Path(__file__).resolve().parents[2] / ".local"


def main() -> int:
    """Build one product; 0 where it is up to date afterwards, 1 with a message where not."""
    parser = argparse.ArgumentParser(prog="python -m localazure.images", description=__doc__)
    parser.add_argument(
        "--local",
        type=Path,
        default=_LOCAL,
        help="folder for Go, its caches and the binaries (default: the repository's .local)",
    )
    products = parser.add_subparsers(dest="product", required=True)
    collector = products.add_parser("collector", help="the collector's image, an OCI layout")
    collector.add_argument("--ca", type=Path, help="PEM file to add to the image's CA bundle")
    app = products.add_parser("app", help="the sample app's image, an OCI layout")
    tools = products.add_parser("tools", help="crane, a client of registries")
    buildx = products.add_parser("buildx", help="a plug-in of docker; takes some minutes")
    places = ((collector, "images/collector"), (app, "images/app"), (tools, "bin"), (buildx, "bin"))
    for each, place in places:
        each.add_argument("--out", type=Path, help=f"the folder to make (default: .local/{place})")
    chosen = parser.parse_args()
    local = chosen.local.absolute()
    if chosen.product == "collector" and chosen.ca and not chosen.ca.is_file():
        parser.error(f"{chosen.ca}: no such file (python -m localazure.authority makes one)")
    try:
        if chosen.product == "collector":
            build.collector(local, chosen.out or local / "images" / "collector", chosen.ca)
        elif chosen.product == "app":
            build.app(local, chosen.out or local / "images" / "app")
        elif chosen.product == "buildx":
            build.buildx(local, chosen.out or local / "bin")
        else:
            build.tools(local, chosen.out or local / "bin")
    except BuildError as problem:
        print(problem, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


sys.exit(main())
