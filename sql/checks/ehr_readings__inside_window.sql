-- A reading belongs to a kept stay and lies in its first window_hours.
-- severity: blocking; grain: stay and variable with failing readings; tables: ehr_readings, ehr_stays.
select
    readings.stay_id,
    readings.variable,
    count(*) as num_readings,
    max(readings.offset_hours) as last_offset_hours
from ehr_readings as readings
left join ehr_stays as stays on readings.stay_id = stays.stay_id and readings.subject_id = stays.subject_id
where
    readings.offset_hours < 0
    or readings.offset_hours >= getvariable('window_hours')
    or stays.stay_id is null
group by readings.stay_id, readings.variable
order by readings.stay_id, readings.variable
