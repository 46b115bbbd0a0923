-- A note is a discharge summary: a radiology report would be the linked X-ray's own text.
-- severity: blocking; grain: one failing note; tables: ehr_notes.
select
    hadm_id,
    note_id
from ehr_notes
where not regexp_matches(note_id, '^[0-9]+-DS-[0-9]+$')
order by hadm_id
