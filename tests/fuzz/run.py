"""Coverage-guided fuzzing of one target with atheris, by hand: see CONTRIBUTING.md.

`python -m tests.fuzz.run TARGET [libFuzzer's options]`; what it finds lies in `.local/fuzz/`.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / ".local" / "fuzz"


def main(arguments: list[str]) -> int:
    """Fuzz until something is found, or until the options say it is enough."""
    # No dependency of the project: it is there for whoever runs this.
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["azext_otelembed"]):
        targets = importlib.import_module("tests.fuzz.targets")
    seeds = importlib.import_module("tests.fuzz.seeds").SEEDS
    if len(arguments) < 2 or arguments[1] not in targets.TARGETS:
        print(f"Name a target: {', '.join(targets.TARGETS)}", file=sys.stderr)
        return 2
    name = arguments[1]
    corpus = FOLDER / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds[name]):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = [f"-artifact_prefix={FOLDER}/{name}-", *arguments[2:], str(corpus)]
    atheris.Setup([arguments[0], *options], lambda data: targets.run(name, data))
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
