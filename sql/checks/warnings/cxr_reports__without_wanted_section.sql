-- Reports that lack the wanted section and give the next of the chain instead.
-- severity: warning; grain: one report; tables: cxr_reports.
select
    source,
    study_id,
    section
from cxr_reports
where is_fall_back
order by source, study_id
