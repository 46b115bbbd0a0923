-- A pair is no further apart than theta_days.
-- severity: blocking; grain: one failing pair; tables: same_patient_pairs.
select
    record_id,
    other_record_id,
    gap_days
from same_patient_pairs
where gap_days > getvariable('theta_days')
order by record_id, other_record_id
