-- All images of a study are of one subject.
-- severity: blocking; grain: one failing study; tables: cxr_records.
select
    study_id,
    count(distinct subject_id) as num_subjects
from cxr_records
group by study_id
having count(distinct subject_id) > 1
order by study_id
