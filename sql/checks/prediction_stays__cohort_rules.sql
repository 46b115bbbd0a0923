-- No stay of a cohort breaks its rule: carevue_filtered has no subject with another system's stay, carevue nobody
-- outside the subset, ehr_holdout nobody who was not held out; a cohort's stays are among its candidates.
-- severity: blocking; grain: one failing stay; tables: prediction_stays, ehr_admissions, cohort_split,
-- mimic_iii__icustays.
select
    stays.stay_id,
    stays.cohorts
from prediction_stays as stays
inner join ehr_admissions as records on stays.hadm_id = records.hadm_id
where
    not list_has_all(stays.candidate_of, stays.cohorts)
    or (list_contains(stays.cohorts, 'carevue') and not records.is_in_carevue_subset)
    or (
        list_contains(stays.cohorts, 'carevue_filtered')
        and stays.subject_id in (select icu.subject_id from mimic_iii__icustays as icu where icu.dbsource != 'carevue')
    )
    or (
        list_contains(stays.cohorts, 'ehr_holdout')
        and stays.subject_id not in (
            select cohorts.subject_id
            from cohort_split as cohorts
            where cohorts.split = 'ehr_holdout'
        )
    )
order by stays.stay_id
