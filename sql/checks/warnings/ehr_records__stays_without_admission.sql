-- ICU stays whose admission is not among the admissions: they are left out.
-- severity: warning; grain: one stay; tables: mimic_iv__icustays, mimic_iv__admissions.
select
    stays.stay_id,
    stays.hadm_id,
    stays.subject_id
from mimic_iv__icustays as stays
where stays.hadm_id not in (select admissions.hadm_id from mimic_iv__admissions as admissions)
order by stays.stay_id
