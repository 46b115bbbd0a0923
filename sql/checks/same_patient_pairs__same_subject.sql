-- Both records of a pair exist and are of the pair's subject.
-- severity: blocking; grain: one failing pair; tables: same_patient_pairs, ehr_records, cxr_records.
select
    pairs.record_id,
    pairs.other_record_id,
    pairs.subject_id,
    ehr.subject_id as ehr_subject_id,
    cxr.subject_id as cxr_subject_id
from same_patient_pairs as pairs
left join ehr_records as ehr on pairs.record_id = ehr.record_id
left join cxr_records as cxr on pairs.other_source = cxr.source and pairs.other_record_id = cxr.record_id
where
    pairs.subject_id is distinct from ehr.subject_id
    or pairs.subject_id is distinct from cxr.subject_id
order by pairs.record_id, pairs.other_record_id
