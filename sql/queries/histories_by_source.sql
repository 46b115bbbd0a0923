-- How long are the diagnosis histories, and how many records have none? One row per source and cohort.
select
    histories.source,
    cohorts.split,
    count(*) as num_records,
    count(*) filter (where histories.num_codes = 0) as num_without_history,
    median(histories.num_codes) as median_codes
from diagnosis_histories as histories
inner join cohort_split as cohorts
    on histories.source = cohorts.source and histories.record_id = cohorts.record_id
group by histories.source, cohorts.split
order by histories.source, cohorts.split
