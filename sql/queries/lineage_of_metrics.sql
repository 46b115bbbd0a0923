-- Where does a number come from? One row per table and raw file behind the metrics; steps away from them.
with recursive ancestors as (
    select
        table_name,
        input,
        input_version,
        is_raw,
        1 as num_steps
    from lineage
    where table_name = 'metrics'
    union
    select
        lineage.table_name,
        lineage.input,
        lineage.input_version,
        lineage.is_raw,
        ancestors.num_steps + 1 as num_steps
    from lineage
    inner join ancestors on lineage.table_name = ancestors.input
    where not ancestors.is_raw
)

select
    input,
    input_version,
    is_raw,
    min(num_steps) as num_steps,
    list_sort(list(distinct table_name)) as read_by
from ancestors
group by input, input_version, is_raw
order by is_raw, num_steps, input
