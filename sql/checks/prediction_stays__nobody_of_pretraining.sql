-- Nobody who pre-trains is evaluated: vocabularies, tokenizer and hourly features are fitted on those subjects alone.
-- severity: blocking; grain: one failing subject; tables: prediction_stays, cohort_split.
select distinct stays.subject_id
from prediction_stays as stays
inner join cohort_split as cohorts on stays.subject_id = cohorts.subject_id
where len(stays.cohorts) > 0 and cohorts.split not in ('ehr_holdout', 'mimic_iii')
order by stays.subject_id
