-- Pre-training records without any history: the third loss leaves them out.
-- severity: warning; grain: one record; tables: diagnosis_histories, cohort_split.
select
    histories.source,
    histories.record_id
from diagnosis_histories as histories
inner join cohort_split as cohorts
    on histories.source = cohorts.source and histories.record_id = cohorts.record_id
where cohorts.split = 'pretrain' and histories.num_codes = 0
order by histories.source, histories.record_id
