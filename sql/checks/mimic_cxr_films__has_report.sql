-- Every film has the report of its study, and the report is its subject's.
-- severity: blocking; grain: one failing record; tables: mimic_cxr_films, mimic_cxr__reports.
select
    records.record_id,
    records.subject_id,
    records.study_id,
    reports.subject_id as report_subject_id
from mimic_cxr_films as records
left join mimic_cxr__reports as reports on records.study_id = reports.study_id
where records.subject_id is distinct from reports.subject_id
order by records.record_id
