"""The report: a site of self-contained HTML pages about what a lake holds and how well its checkpoint does.

What lives here: reading aggregates from published tables, and drawing them. What does not: any computation of a metric
(`medcsp_model`), and anything of a single patient: the pages show counts, curves and digests only.
"""

from pipelines.report.page import TEMPLATES
from pipelines.report.paper_numbers import TABLE_1, TABLE_2
from pipelines.report.site import INDEX, INPUTS, Site, build_site, write_site
from pipelines.report.warned_rules import WARNINGS

__all__ = ["INDEX", "INPUTS", "TABLE_1", "TABLE_2", "TEMPLATES", "WARNINGS", "Site", "build_site", "write_site"]
