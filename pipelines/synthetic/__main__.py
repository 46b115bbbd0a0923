"""Command line: `python -m pipelines.synthetic --home HOME [--mimic-iv ROOT] [--sources all]` writes HOME/raw."""

import argparse
from dataclasses import replace
from pathlib import Path

from lake.files import locked
from pipelines.synthetic import LOCK, SyntheticSettings, write_companion, write_sources
from pipelines.synthetic.settings import FOLDERS


def main() -> None:
    """Write the synthetic sources, or only X-rays beside a real MIMIC-IV tree, below a home folder."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.synthetic", description=main.__doc__)
    parser.add_argument("--home", type=Path, required=True, help="folder that gets raw/")
    parser.add_argument("--mimic-iv", type=Path, help="a real MIMIC-IV tree: write X-rays for its subjects only")
    parser.add_argument("--seed", type=int, default=0, help="everything is drawn from it")
    parser.add_argument("--sources", nargs="+", metavar="NAME", help=f"all, or some of {', '.join(FOLDERS)}")
    parser.add_argument("--evaluation-size", action="store_true", help="200 positives of every label, not 30")
    asked = parser.parse_args()
    raw = asked.home / "raw"
    try:
        settings = SyntheticSettings(seed=asked.seed)
        if asked.sources is not None:
            settings = replace(settings, sources=tuple(FOLDERS) if asked.sources == ["all"] else tuple(asked.sources))
        if asked.evaluation_size:
            settings = settings.evaluation_size()
        with locked(asked.home / LOCK):
            if asked.mimic_iv is None:
                write_sources(raw, settings=settings)
            else:
                write_companion(raw, mimic_iv=asked.mimic_iv, settings=settings)
    except ValueError as problem:
        parser.exit(2, f"{problem}\n")
    print(f"wrote synthetic sources to {raw}")


if __name__ == "__main__":
    main()
