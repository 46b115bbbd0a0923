-- Records without demographics, because the patient is not among the patients.
-- severity: warning; grain: one record; tables: ehr_records, ehr_demographics.
select
    records.record_id,
    records.subject_id
from ehr_records as records
where records.hadm_id not in (select demographics.hadm_id from ehr_demographics as demographics)
order by records.record_id
