-- X-rays are of MIMIC-IV's subjects: a record of MIMIC-III is linked to none.
-- severity: blocking; grain: one failing pair; tables: same_patient_pairs, ehr_records.
select
    pairs.record_id,
    pairs.other_record_id,
    records.database
from same_patient_pairs as pairs
inner join ehr_records as records on pairs.record_id = records.record_id
where records.database != 'mimic_iv'
order by pairs.record_id, pairs.other_record_id
