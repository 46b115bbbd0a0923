-- MIMIC-III is for evaluation alone: its records stand in the cohort mimic_iii, and nothing else does.
-- severity: blocking; grain: one failing record; tables: cohort_split, ehr_records.
select
    cohorts.source,
    cohorts.record_id,
    cohorts.subject_id,
    records.database,
    cohorts.split
from cohort_split as cohorts
left join ehr_records as records on cohorts.source = 'ehr' and cohorts.record_id = records.record_id
where (coalesce(records.database, 'mimic_iv') != 'mimic_iv') != (cohorts.split = 'mimic_iii')
order by cohorts.source, cohorts.record_id
