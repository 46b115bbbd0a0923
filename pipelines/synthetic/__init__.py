"""Raw trees of every source, in their published layout, with planted structure; nothing real in them.

One latent model of patients (`latent`, `studies`, `stays`, `critical`) is rendered by one module per source and table
group. MIMIC-III is MIMIC-IV's rendering of its own patients, and of some of MIMIC-IV's, under other ids, in the items
and habits of its two charting systems. `companion` puts synthetic X-rays beside a real MIMIC-IV tree. No dagster here,
and nothing of the pipeline's own reading code.
"""

from pipelines.synthetic.chartevents_stream import write_chartevents
from pipelines.synthetic.companion import write_companion
from pipelines.synthetic.settings import SyntheticSettings
from pipelines.synthetic.write import write_sources
from pipelines.synthetic.writing import LOCK

__all__ = ["LOCK", "SyntheticSettings", "write_chartevents", "write_companion", "write_sources"]
