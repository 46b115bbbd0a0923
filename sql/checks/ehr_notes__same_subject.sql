-- A note's subject is the subject of its admission: otherwise one release does not belong to the other.
-- severity: blocking; grain: one failing note; tables: ehr_notes, ehr_records.
select
    notes.hadm_id,
    notes.note_id,
    notes.subject_id,
    records.subject_id as record_subject_id
from ehr_notes as notes
left join ehr_records as records on notes.hadm_id = records.hadm_id
where notes.subject_id is distinct from records.subject_id
order by notes.hadm_id
