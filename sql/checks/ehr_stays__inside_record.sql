-- The stays of a record are numbered from 0 without a gap, belong to its subject, and are no more than it has.
-- severity: blocking; grain: one failing record; tables: ehr_stays, ehr_records.
select
    stays.hadm_id,
    count(*) as num_kept,
    max(stays.stay_index) as last_index,
    any_value(records.num_stays) as num_stays
from ehr_stays as stays
left join ehr_records as records on stays.hadm_id = records.hadm_id and stays.subject_id = records.subject_id
group by stays.hadm_id
having
    max(stays.stay_index) != count(*) - 1
    or min(stays.stay_index) != 0
    or count(*) > coalesce(any_value(records.num_stays), 0)
order by stays.hadm_id
