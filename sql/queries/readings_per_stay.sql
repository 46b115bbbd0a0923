-- How densely is a stay observed? One row per kept stay; readings an hour over the part of the window that it lasted.
with readings as (
    select
        stay_id,
        count(*) as num_readings,
        count(distinct variable) as num_variables,
        count(*) filter (where variable like 'lab%') as num_labs,
        count(*) filter (where known_is_assumed) as num_assumed,
        max(offset_hours) as last_offset_hours
    from ehr_readings
    group by stay_id
)

select
    stays.stay_id,
    stays.subject_id,
    stays.los_hours,
    coalesce(readings.num_readings, 0) as num_readings,
    coalesce(readings.num_variables, 0) as num_variables,
    coalesce(readings.num_labs, 0) as num_labs,
    coalesce(readings.num_assumed, 0) as num_assumed,
    readings.last_offset_hours
from ehr_stays as stays
left join readings on stays.stay_id = readings.stay_id
order by num_readings desc, stays.stay_id asc
