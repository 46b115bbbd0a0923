-- A code belongs to a record, and to the record's subject.
-- severity: blocking; grain: one failing code; tables: ehr_codes, ehr_records.
select
    codes.hadm_id,
    codes.kind,
    codes.code,
    codes.subject_id,
    records.subject_id as record_subject_id
from ehr_codes as codes
left join ehr_records as records on codes.hadm_id = records.hadm_id
where codes.subject_id is distinct from records.subject_id
order by codes.hadm_id, codes.kind, codes.code
