-- An admission is of one database: the ids of MIMIC-III and MIMIC-IV do not meet.
-- severity: blocking; grain: one failing admission; tables: admission_diagnoses.
select
    hadm_id,
    list_sort(list(distinct cast(database as varchar))) as databases,
    count(distinct subject_id) as num_subjects
from admission_diagnoses
group by hadm_id
having count(distinct database) > 1 or count(distinct subject_id) > 1
order by hadm_id
