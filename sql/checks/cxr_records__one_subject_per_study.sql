-- All images of a study are of one subject and one source: the ids of releases do not meet.
-- severity: blocking; grain: one failing study; tables: cxr_records.
select
    study_id,
    count(distinct subject_id) as num_subjects,
    list_sort(list(distinct source)) as sources
from cxr_records
group by study_id
having count(distinct subject_id) > 1 or count(distinct source) > 1
order by study_id
