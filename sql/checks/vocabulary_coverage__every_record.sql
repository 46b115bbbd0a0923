-- Every record is counted once for diagnoses and once for drugs.
-- severity: blocking; grain: one failing kind and database; tables: vocabulary_coverage, ehr_records.
with counted as (
    select
        kind,
        database,
        sum(num_records) as num_counted
    from vocabulary_coverage
    group by kind, database
),

wanted as (
    select
        kinds.kind,
        records.database,
        count(*) as num_records
    from ehr_records as records
    cross join (select unnest(['diagnosis', 'drug']) as kind) as kinds
    group by kinds.kind, records.database
)

select
    coalesce(wanted.kind, counted.kind) as kind,
    coalesce(wanted.database, counted.database) as database,
    wanted.num_records,
    counted.num_counted
from wanted
full join counted on wanted.kind = counted.kind and wanted.database = counted.database
where wanted.num_records is distinct from counted.num_counted
order by kind, database
