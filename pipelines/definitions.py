"""The only place where everything meets: `defs` for Dagster, `build_defs(**overrides)` for tests and commands.

Not here: anything else. Importing this module imports neither torch nor any image or model library.
"""

from dataclasses import replace
from typing import Any

import dagster as dg

from lake.files import make_private
from pipelines.assets.glue import SWEEPS, as_asset
from pipelines.assets.graph import STEPS
from pipelines.assets.raw import SYNTHETIC, raw_observations, synthetic_sources
from pipelines.automation import jobs, schedules, sensors
from pipelines.resources import Workspace, workspace_from_environment


def build_defs(*, workspace: Workspace | None = None, **overrides: Any) -> dg.Definitions:
    """Return the whole graph over a workspace, whose home is made if it is new, for its owner alone.

    Args:
        workspace: home, profile, sources and launcher; read from the environment by default.
        **overrides: fields of the workspace to replace, for instance `profile=`.
    """
    chosen = replace(workspace or workspace_from_environment(), **overrides)
    make_private(chosen.home)
    written = (SYNTHETIC,) if chosen.is_synthetic else ()
    assets: list[Any] = [as_asset(step, after=written if step.raw_keys else ()) for step in STEPS.values()]
    assets += [*SWEEPS.values(), raw_observations(chosen), *([synthetic_sources(chosen)] if written else [])]
    return dg.Definitions(
        assets=assets,
        resources={"workspace": chosen},
        jobs=jobs(),
        schedules=schedules(),
        sensors=sensors(),
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Return the graph over the workspace of the environment; made when a tool of Dagster asks for it."""
    return build_defs()
