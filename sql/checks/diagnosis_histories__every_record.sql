-- Every record has its row, with codes or without, and nothing else does.
-- severity: blocking; grain: one failing record; tables: diagnosis_histories, ehr_records, cxr_records.
with records as (
    select
        'ehr' as source,
        record_id
    from ehr_records
    union all
    select
        source,
        record_id
    from cxr_records
)

select
    coalesce(records.source, histories.source) as source,
    coalesce(records.record_id, histories.record_id) as record_id
from records
full join diagnosis_histories as histories
    on records.source = histories.source and records.record_id = histories.record_id
where records.record_id is null or histories.record_id is null
order by source, record_id
