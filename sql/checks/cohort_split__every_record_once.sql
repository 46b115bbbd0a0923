-- Every record stands in a cohort, and nothing else does.
-- severity: blocking; grain: one failing record; tables: cohort_split, ehr_records, cxr_records.
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
    coalesce(records.source, cohorts.source) as source,
    coalesce(records.record_id, cohorts.record_id) as record_id,
    cohorts.split
from records
full join cohort_split as cohorts on records.source = cohorts.source and records.record_id = cohorts.record_id
where records.record_id is null or cohorts.record_id is null
order by source, record_id
