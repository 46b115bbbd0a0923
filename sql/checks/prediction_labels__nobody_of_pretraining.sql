-- Nobody who pre-trains is evaluated: vocabularies, tokenizer and hourly features are fitted on those subjects alone.
-- severity: blocking; grain: one failing subject; tables: prediction_labels, prediction_stays, cohort_split.
select distinct labels.subject_id
from prediction_labels as labels
inner join prediction_stays as stays on labels.stay_id = stays.stay_id
inner join cohort_split as cohorts on labels.subject_id = cohorts.subject_id
where
    cohorts.split = 'pretrain'
    or cohorts.split != case stays.database when 'mimic_iv' then 'ehr_holdout' else 'mimic_iii' end
order by labels.subject_id
