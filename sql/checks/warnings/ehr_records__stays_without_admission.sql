-- ICU stays whose admission is not among the admissions: they are left out.
-- Of the CareVue subset, stays of people whom MIMIC-III has are those of MIMIC-III.
-- severity: warning; grain: one stay; tables: mimic_iv__icustays, mimic_iv__admissions, mimic_iii__icustays,
-- mimic_iii__admissions, mimic_iii__patients, mimic_iii_carevue__icustays, mimic_iii_carevue__admissions.
with stays as (
    select
        'mimic_iv' as database,
        stay_id,
        hadm_id,
        subject_id
    from mimic_iv__icustays
    where hadm_id not in (select admissions.hadm_id from mimic_iv__admissions as admissions)
    union all
    select
        'mimic_iii' as database,
        icustay_id as stay_id,
        hadm_id,
        subject_id
    from mimic_iii__icustays
    where hadm_id not in (select admissions.hadm_id from mimic_iii__admissions as admissions)
    union all
    select
        'mimic_iii_carevue' as database,
        icustay_id as stay_id,
        hadm_id,
        subject_id
    from mimic_iii_carevue__icustays
    where
        hadm_id not in (select admissions.hadm_id from mimic_iii_carevue__admissions as admissions)
        and subject_id not in (select taken.subject_id from mimic_iii__patients as taken)
)

select
    database,
    stay_id,
    hadm_id,
    subject_id
from stays
order by stay_id
