-- No subject of an evaluation set is in pre-training.
-- severity: blocking; grain: one failing film; tables: evaluation_films, cohort_split.
select
    source,
    record_id,
    subject_id,
    split
from evaluation_films
where subject_id in (select cohort_split.subject_id from cohort_split where cohort_split.split = 'pretrain')
order by source, record_id
