-- Every example has what its tasks declare, and nothing else; a flag stands only where they declare one.
-- severity: blocking; grain: one failing example and input; tables: prediction_inputs, prediction_labels,
-- prediction_tasks.
with declared as (
    select
        index_event,
        unnest(inputs) as input,
        nullif(unnest(flags), '') as flag
    from prediction_tasks
),

wanted as (
    select distinct
        labels.index_event,
        labels.stay_id,
        declared.input,
        declared.flag
    from prediction_labels as labels
    inner join declared on labels.index_event = declared.index_event
),

found as (
    select distinct
        index_event,
        stay_id,
        input,
        flag
    from prediction_inputs
)

select
    coalesce(wanted.index_event, found.index_event) as index_event,
    coalesce(wanted.stay_id, found.stay_id) as stay_id,
    coalesce(wanted.input, found.input) as input,
    wanted.flag as declared_flag,
    found.flag
from wanted
full join found
    on
        wanted.index_event = found.index_event and wanted.stay_id = found.stay_id and wanted.input = found.input
        and wanted.flag is not distinct from found.flag
where wanted.stay_id is null or found.stay_id is null
order by index_event, stay_id, input
