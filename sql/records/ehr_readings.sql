-- Readings: one row per charted or laboratory reading in the first hours of an ICU stay; offsets in hours from in-time.
-- Variable: window_hours, right-open.
--
-- Charted readings name their stay. Laboratory results do not, and often no admission either: they belong to the stay
-- whose window holds the specimen. What can be seen when comes from storetime; where there is none the time of the
-- reading stands for it, flagged. Repeated readings are kept; rows without text and number say nothing and are not.
with windows as (
    select
        subject_id,
        hadm_id,
        stay_id,
        in_time,
        in_time + to_microseconds(cast(getvariable('window_hours') * 3600000000 as bigint)) as end_time
    from ehr_stays
),

charted as (
    select
        windows.subject_id,
        windows.hadm_id,
        windows.stay_id,
        windows.in_time,
        'chart_' || events.itemid as variable,
        events.charttime,
        events.storetime,
        events.value,
        events.valuenum
    from mimic_iv__chartevents as events
    inner join windows on events.stay_id = windows.stay_id
    where events.charttime >= windows.in_time and events.charttime < windows.end_time
),

laboratory as (
    select
        windows.subject_id,
        windows.hadm_id,
        windows.stay_id,
        windows.in_time,
        'lab_' || events.itemid as variable,
        events.charttime,
        events.storetime,
        events.value,
        events.valuenum
    from mimic_iv__labevents as events
    inner join windows on events.subject_id = windows.subject_id
    where
        events.charttime >= windows.in_time
        and events.charttime < windows.end_time
),

readings as (
    select
        subject_id,
        hadm_id,
        stay_id,
        in_time,
        variable,
        charttime,
        storetime,
        value,
        valuenum
    from charted
    union all
    select
        subject_id,
        hadm_id,
        stay_id,
        in_time,
        variable,
        charttime,
        storetime,
        value,
        valuenum
    from laboratory
)

select
    subject_id,
    hadm_id,
    stay_id,
    variable,
    date_diff('microsecond', in_time, charttime) / 3.6e9 as offset_hours,
    value,
    valuenum as value_number,
    date_diff('microsecond', in_time, coalesce(storetime, charttime)) / 3.6e9 as known_hours,
    storetime is null as known_is_assumed
from readings
where value is not null or valuenum is not null
order by subject_id, stay_id, variable, offset_hours, value, value_number, known_hours, known_is_assumed
