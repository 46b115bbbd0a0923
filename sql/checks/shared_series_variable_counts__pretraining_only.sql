-- No variable is read in more stays of the fit than pre-training subjects have, where the fit is on them alone (setting
-- fit_on): with anybody else among them, what every stay charts would be.
-- severity: blocking; grain: one failing variable; tables: shared_series_variable_counts, ehr_stays, cohort_split.
with fit_stays as (
    select stays.stay_id
    from ehr_stays as stays
    inner join cohort_split as cohorts on cohorts.source = 'ehr' and stays.hadm_id = cohorts.study_id
    where stays.database = 'mimic_iv' and cohorts.split = 'pretrain'
)

select
    variable,
    sum(num_stays) as num_stays,
    (select count(fit_stays.stay_id) from fit_stays) as num_pretrain_stays
from shared_series_variable_counts
group by variable
having getvariable('fit_on') = 'pretrain' and sum(num_stays) > (select count(fit_stays.stay_id) from fit_stays)
order by variable
