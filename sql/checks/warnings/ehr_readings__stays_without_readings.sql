-- Kept stays without any reading in the window: their series is masked.
-- severity: warning; grain: one stay; tables: ehr_stays, ehr_readings.
select
    stays.stay_id,
    stays.hadm_id,
    stays.los_hours
from ehr_stays as stays
where stays.stay_id not in (select readings.stay_id from ehr_readings as readings)
order by stays.stay_id
