"""Runs the quality study: `python -m benchmarks.quality --out <folder> [--arms a_p_d,a_p] [--seeds 0,1,2,3,4]`.

Five seeds of the eleven arms take a quarter to half an hour of one core; a run that was stopped goes on where it was.
The last line printed is one JSON object: mean of each measure by arm.
"""

import argparse
import json
import logging
import sys
from pathlib import Path

from benchmarks.quality.arms import STUDY
from benchmarks.quality.study import run_study
from medcsp_model.evaluation.ablation.bench import MEASURES
from medcsp_model.evaluation.planted.recipe import Size
from medcsp_model.evaluation.planted.world import WorldSettings


def main() -> int:
    """Run the command; the exit status is 0, or 2 for an error the user can repair."""
    parser = argparse.ArgumentParser(description="Train and measure the arms of the quality study.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--arms", default=",".join(STUDY))
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--patients", type=int, default=WorldSettings.num_patients)
    parser.add_argument("--steps", type=int, default=Size.steps)
    parser.add_argument("--batch", type=int, default=Size.batch)
    parser.add_argument("--learning-rate", type=float, default=Size.learning_rate)
    given = parser.parse_args()
    sizes = {name: getattr(given, name) for name in ("steps", "batch", "learning_rate")}
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stdout)
    logging.getLogger("medcsp_model").setLevel(logging.WARNING)
    try:
        lines = run_study(
            given.out,
            arms=given.arms.split(","),
            seeds=[int(seed) for seed in given.seeds.split(",")],
            world=WorldSettings(num_patients=given.patients),
            size=Size(**sizes),
        )
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    means: dict[str, dict[str, float]] = {}
    for arm in dict.fromkeys(line["arm"] for line in lines):
        runs = [line["measures"] for line in lines if line["arm"] == arm]
        means[arm] = {name: round(sum(run[name]["value"] for run in runs) / len(runs), 4) for name in MEASURES}
    print(json.dumps(means))
    return 0


if __name__ == "__main__":
    sys.exit(main())
