-- Readings: one row per charted, measured, given or drawn thing in the first hours of an ICU stay, of any database;
-- offsets in hours from in-time. Temperatures in Celsius, weights in kilograms, heights in centimetres, amounts in mg
-- and ml, rates per hour or in mcg/kg/min. Variable: window_hours, right-open.
--
-- An event belongs to the stay it names, or, where its table names none (laboratory, microbiology), to the stay whose
-- window holds it. What runs (an infusion with a rate, a procedure) shows once in every hour that it touches: at its
-- start, then at the turn of each hour. What has an amount but no rate was given at once and shows at its start
-- (amount_). A procedure shows 1, never its length; a date shows how many days it lies after the start of the stay;
-- microbiology shows 1 where a specimen was drawn, never what grew. Rewritten rows and rows charted in error are left
-- out.
--
-- A reading is known when it was stored, and never before it was taken; amounts and procedures not before they ended,
-- because a row about them says that they did. Where there is no storetime the event stands for it, flagged.
with windows as (
    select
        database,
        subject_id,
        hadm_id,
        stay_id,
        in_time,
        in_time + to_microseconds(cast(getvariable('window_hours') * 3600000000 as bigint)) as end_time
    from ehr_stays
),

hours as (
    select
        windows.subject_id,
        windows.hadm_id,
        windows.stay_id,
        windows.in_time,
        intervals.variable,
        intervals.starttime,
        case when intervals.known_at_end then intervals.endtime end as endtime,
        intervals.storetime,
        intervals.number,
        unnest(
            generate_series(
                cast(greatest(
                    floor(date_diff('microsecond', windows.in_time, intervals.starttime) / 3.6e9), 0
                ) as bigint),
                greatest(
                    cast(ceil(
                        date_diff('microsecond', windows.in_time, least(intervals.endtime, windows.end_time)) / 3.6e9
                    ) as bigint) - 1,
                    cast(floor(date_diff('microsecond', windows.in_time, intervals.starttime) / 3.6e9) as bigint)
                )
            )
        ) as hour
    from intervals
    inner join windows on intervals.stay_id = windows.stay_id and intervals.database = windows.database
    where
        intervals.starttime < windows.end_time
        and greatest(intervals.endtime, intervals.starttime) >= windows.in_time
),

readings as (
    select
        windows.subject_id,
        windows.hadm_id,
        windows.stay_id,
        windows.in_time,
        'chart_' || case charted.itemid
            when 223761 then 223762 when 226531 then 226512 when 226707 then 226730 else charted.itemid
        end as variable,
        charted.charttime,
        cast(null as timestamp) as endtime,
        charted.storetime,
        charted.value,
        case
            when charted.itemid in (223761, 223762) and charted.valuenum > 50
                then round((charted.valuenum - 32) / 1.8, 2)
            when charted.itemid = 226531 then round(charted.valuenum * 0.45359237, 2)
            when charted.itemid = 226707 then round(charted.valuenum * 2.54, 2)
            else charted.valuenum
        end as value_number
    from charted
    inner join windows on charted.stay_id = windows.stay_id and charted.database = windows.database
    where charted.charttime >= windows.in_time and charted.charttime < windows.end_time
    union all
    select
        windows.subject_id,
        windows.hadm_id,
        windows.stay_id,
        windows.in_time,
        results.variable,
        results.charttime,
        cast(null as timestamp) as endtime,
        results.storetime,
        results.value,
        results.valuenum as value_number
    from results
    inner join windows on results.subject_id = windows.subject_id and results.database = windows.database
    where results.charttime >= windows.in_time and results.charttime < windows.end_time
    union all
    select
        windows.subject_id,
        windows.hadm_id,
        windows.stay_id,
        windows.in_time,
        points.variable,
        points.charttime,
        points.endtime,
        points.storetime,
        cast(null as varchar) as value,
        points.number as value_number
    from points
    inner join windows on points.stay_id = windows.stay_id and points.database = windows.database
    where points.charttime >= windows.in_time and points.charttime < windows.end_time
    union all
    select
        windows.subject_id,
        windows.hadm_id,
        windows.stay_id,
        windows.in_time,
        'datetime_' || dates.itemid as variable,
        dates.charttime,
        cast(null as timestamp) as endtime,
        dates.storetime,
        cast(null as varchar) as value,
        round(date_diff('second', windows.in_time, dates.value) / 86400, 3) as value_number
    from dates
    inner join windows on dates.stay_id = windows.stay_id and dates.database = windows.database
    where dates.charttime >= windows.in_time and dates.charttime < windows.end_time
    union all
    select
        subject_id,
        hadm_id,
        stay_id,
        in_time,
        variable,
        greatest(starttime, in_time + to_hours(hour)) as charttime,
        endtime,
        storetime,
        cast(null as varchar) as value,
        number as value_number
    from hours
)

select
    subject_id,
    hadm_id,
    stay_id,
    variable,
    date_diff('microsecond', in_time, charttime) / 3.6e9 as offset_hours,
    value,
    value_number,
    date_diff('microsecond', in_time, greatest(charttime, endtime, storetime)) / 3.6e9 as known_hours,
    storetime is null as known_is_assumed
from readings
where value is not null or value_number is not null
order by subject_id, stay_id, variable, offset_hours, value, value_number, known_hours, known_is_assumed
