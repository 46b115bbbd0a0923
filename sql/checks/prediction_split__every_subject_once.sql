-- Every subject of a cohort has a part, and nobody else; the key of the table says that it is one.
-- severity: blocking; grain: one failing subject; tables: prediction_split, prediction_stays.
select
    coalesce(parts.subject_id, subjects.subject_id) as subject_id,
    parts.split
from prediction_split as parts
full join
    (
        select distinct prediction_stays.subject_id
        from prediction_stays
        where len(prediction_stays.cohorts) > 0
    ) as subjects
    on parts.subject_id = subjects.subject_id
where parts.subject_id is null or subjects.subject_id is null
order by subject_id
