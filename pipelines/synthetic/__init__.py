"""Raw trees of every source, in their published layout, with planted structure; nothing real in them.

One latent model of patients (`latent`, `studies`, `stays`) is rendered by one module per source and table group;
`companion` puts synthetic X-rays beside a real MIMIC-IV tree. No dagster here, and nothing of the pipeline's own
reading code.
"""

from pipelines.synthetic.chartevents_stream import write_chartevents
from pipelines.synthetic.companion import write_companion
from pipelines.synthetic.settings import SyntheticSettings
from pipelines.synthetic.write import write_sources

__all__ = ["SyntheticSettings", "write_chartevents", "write_companion", "write_sources"]
