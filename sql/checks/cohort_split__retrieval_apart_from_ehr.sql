-- No subject of an X-ray evaluation has an EHR record, for then it would be seen in pre-training or held out.
-- severity: blocking; grain: one failing record; tables: cohort_split, ehr_records.
select
    record_id,
    subject_id
from cohort_split
where
    (starts_with(split, 'retrieval_') or starts_with(split, 'zero_shot_'))
    and subject_id in (select ehr_records.subject_id from ehr_records)
order by record_id
