"""Command line: `python -m pipelines.synthetic --home HOME [--mimic-iv ROOT]` writes HOME/raw."""

import argparse
from pathlib import Path

from pipelines.synthetic import SyntheticSettings, write_companion, write_sources


def main() -> None:
    """Write the synthetic sources, or only X-rays beside a real MIMIC-IV tree, below a home folder."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.synthetic", description=main.__doc__)
    parser.add_argument("--home", type=Path, required=True, help="folder that gets raw/")
    parser.add_argument("--mimic-iv", type=Path, help="a real MIMIC-IV tree: write X-rays for its subjects only")
    parser.add_argument("--seed", type=int, default=0, help="everything is drawn from it")
    asked = parser.parse_args()
    raw, settings = asked.home / "raw", SyntheticSettings(seed=asked.seed)
    try:
        if asked.mimic_iv is None:
            write_sources(raw, settings=settings)
        else:
            write_companion(raw, mimic_iv=asked.mimic_iv, settings=settings)
    except ValueError as problem:
        parser.exit(2, f"{problem}\n")
    print(f"wrote synthetic sources to {raw}")


if __name__ == "__main__":
    main()
