-- ICU stays whose admission is not among the admissions: they are left out.
-- severity: warning; grain: one stay; tables: mimic_iv__icustays, mimic_iv__admissions, mimic_iii__icustays,
-- mimic_iii__admissions.
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
)

select
    database,
    stay_id,
    hadm_id,
    subject_id
from stays
order by stay_id
