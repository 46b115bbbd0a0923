"""The report: one self-contained HTML page about what a lake holds and how well its checkpoint does.

What lives here: reading aggregates from published tables, and drawing them. What does not: any computation of a metric
(`medcsp_model`), and anything of a single patient: the page shows counts, curves and digests only.
"""

from pipelines.report.page import INPUTS, TEMPLATES, Page, build_page, write_page
from pipelines.report.paper_numbers import TABLE_1, TABLE_2

__all__ = ["INPUTS", "TABLE_1", "TABLE_2", "TEMPLATES", "Page", "build_page", "write_page"]
