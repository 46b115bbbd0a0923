-- Notes: one row per EHR record that has a discharge summary, the latest; addenda are left out.
with ranked as (
    select
        notes.subject_id,
        notes.hadm_id,
        notes.note_id,
        notes.charttime as note_time,
        notes.text,
        row_number() over (
            partition by notes.hadm_id order by notes.charttime desc, notes.note_seq desc, notes.note_id desc
        ) as recency
    from mimic_iv_note__discharge as notes
    inner join ehr_records as records on notes.hadm_id = records.hadm_id
    where notes.note_type = 'DS'
)

select
    subject_id,
    hadm_id,
    note_id,
    note_time,
    text
from ranked
where recency = 1
order by hadm_id
