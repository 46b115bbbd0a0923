"""Command line: `python -m pipelines.synthetic --home HOME` writes HOME/raw."""

import argparse
from pathlib import Path

from pipelines.synthetic import SyntheticSettings, write_sources


def main() -> None:
    """Write the synthetic sources below a home folder."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.synthetic", description=main.__doc__)
    parser.add_argument("--home", type=Path, required=True, help="folder that gets raw/")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    write_sources(asked.home / "raw", settings=SyntheticSettings(seed=asked.seed))
    print(f"wrote synthetic sources to {asked.home / 'raw'}")


if __name__ == "__main__":
    main()
