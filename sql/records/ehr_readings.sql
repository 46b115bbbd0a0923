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

units as (
    select
        col0 as unit,
        col1 as factor
    from (
        values
        ('g', 1000.0), ('gm', 1000.0), ('gms', 1000.0), ('gram', 1000.0), ('grams', 1000.0), ('mcg', 0.001),
        ('l', 1000.0), ('units/min', 60.0), ('umin', 60.0), ('mg/min', 60.0), ('mgmin', 60.0), ('mcg/min', 0.06),
        ('mcgmin', 0.06), ('mcg/hour', 0.001), ('mcghr', 0.001), ('grams/hour', 1000.0), ('gmhr', 1000.0),
        ('grams/min', 60000.0), ('ml/min', 60.0), ('mlmin', 60.0), ('l/min', 60000.0), ('mg/kg/min', 1000.0),
        ('mgkgmin', 1000.0), ('mg/kg/hour', 1000.0 / 60), ('mgkghr', 1000.0 / 60), ('mcg/kg/hour', 1.0 / 60),
        ('mcgkghr', 1.0 / 60), ('grams/kg/min', 1000000.0)
    )
),

charted as (
    select
        'mimic_iv' as database,
        stay_id,
        itemid,
        charttime,
        storetime,
        value,
        valuenum
    from mimic_iv__chartevents
    union all
    select
        'mimic_iii' as database,
        icustay_id as stay_id,
        itemid,
        charttime,
        storetime,
        value,
        valuenum
    from mimic_iii__chartevents
    where error is distinct from 1
    union all
    select
        'mimic_iii_carevue' as database,
        icustay_id as stay_id,
        itemid,
        charttime,
        storetime,
        value,
        valuenum
    from mimic_iii_carevue__chartevents
    where error is distinct from 1
),

outputs as (
    select
        'mimic_iv' as database,
        stay_id,
        itemid,
        charttime,
        storetime,
        value
    from mimic_iv__outputevents
    union all
    select
        'mimic_iii' as database,
        icustay_id as stay_id,
        itemid,
        charttime,
        storetime,
        value
    from mimic_iii__outputevents
    where iserror is distinct from 1
    union all
    select
        'mimic_iii_carevue' as database,
        icustay_id as stay_id,
        itemid,
        charttime,
        storetime,
        value
    from mimic_iii_carevue__outputevents
    where iserror is distinct from 1
),

dates as (
    select
        'mimic_iv' as database,
        stay_id,
        itemid,
        charttime,
        storetime,
        value
    from mimic_iv__datetimeevents
    union all
    select
        'mimic_iii' as database,
        icustay_id as stay_id,
        itemid,
        charttime,
        storetime,
        value
    from mimic_iii__datetimeevents
    where error is distinct from 1
    union all
    select
        'mimic_iii_carevue' as database,
        icustay_id as stay_id,
        itemid,
        charttime,
        storetime,
        value
    from mimic_iii_carevue__datetimeevents
    where error is distinct from 1
),

-- MetaVision and MIMIC-IV: what ran from start to end
inputs as (
    select
        'mimic_iv' as database,
        stay_id,
        itemid,
        starttime,
        endtime,
        storetime,
        amount,
        amountuom,
        rate,
        rateuom,
        patientweight
    from mimic_iv__inputevents
    where trim(statusdescription) is distinct from 'Rewritten'
    union all
    select
        'mimic_iii' as database,
        icustay_id as stay_id,
        itemid,
        starttime,
        endtime,
        storetime,
        amount,
        amountuom,
        rate,
        rateuom,
        patientweight
    from mimic_iii__inputevents_mv
    where trim(statusdescription) is distinct from 'Rewritten'
    union all
    select
        'mimic_iii_carevue' as database,
        icustay_id as stay_id,
        itemid,
        starttime,
        endtime,
        storetime,
        amount,
        amountuom,
        rate,
        rateuom,
        patientweight
    from mimic_iii_carevue__inputevents_mv
    where trim(statusdescription) is distinct from 'Rewritten'
),

-- CareVue: what was noted at one moment; rate and amount may stand in rows of their own
moments as (
    select
        'mimic_iii' as database,
        icustay_id as stay_id,
        itemid,
        charttime,
        storetime,
        amount,
        amountuom,
        rate,
        rateuom
    from mimic_iii__inputevents_cv
    union all
    select
        'mimic_iii_carevue' as database,
        icustay_id as stay_id,
        itemid,
        charttime,
        storetime,
        amount,
        amountuom,
        rate,
        rateuom
    from mimic_iii_carevue__inputevents_cv
),

procedures as (
    select
        'mimic_iv' as database,
        stay_id,
        itemid,
        starttime,
        endtime,
        storetime
    from mimic_iv__procedureevents
    where trim(statusdescription) is distinct from 'Rewritten'
    union all
    select
        'mimic_iii' as database,
        icustay_id as stay_id,
        itemid,
        starttime,
        endtime,
        storetime
    from mimic_iii__procedureevents_mv
    where trim(statusdescription) is distinct from 'Rewritten'
    union all
    select
        'mimic_iii_carevue' as database,
        icustay_id as stay_id,
        itemid,
        starttime,
        endtime,
        storetime
    from mimic_iii_carevue__procedureevents_mv
    where trim(statusdescription) is distinct from 'Rewritten'
),

results as (
    select
        'mimic_iv' as database,
        subject_id,
        'lab_' || itemid as variable,
        charttime,
        storetime,
        value,
        valuenum
    from mimic_iv__labevents
    union all
    select
        'mimic_iii' as database,
        subject_id,
        'lab_' || itemid as variable,
        charttime,
        cast(null as timestamp) as storetime,
        value,
        valuenum
    from mimic_iii__labevents
    union all
    select
        'mimic_iii_carevue' as database,
        subject_id,
        'lab_' || itemid as variable,
        charttime,
        cast(null as timestamp) as storetime,
        value,
        valuenum
    from mimic_iii_carevue__labevents
    union all
    (
        select distinct
            database,
            subject_id,
            'micro_' || spec_itemid as variable,
            -- without the hour of the draw, its day is over when it is known
            coalesce(charttime, chartdate + interval 1 day) as charttime,
            cast(null as timestamp) as storetime,
            cast(null as varchar) as value,
            1.0 as valuenum
        from (
            select
                'mimic_iv' as database,
                subject_id,
                spec_itemid,
                charttime,
                chartdate
            from mimic_iv__microbiologyevents
            union all
            select
                'mimic_iii' as database,
                subject_id,
                spec_itemid,
                charttime,
                chartdate
            from mimic_iii__microbiologyevents
            union all
            select
                'mimic_iii_carevue' as database,
                subject_id,
                spec_itemid,
                charttime,
                chartdate
            from mimic_iii_carevue__microbiologyevents
        ) as specimens
        where spec_itemid is not null
    )
),

-- what has a number and names its stay, at one moment
points as (
    select
        database,
        stay_id,
        'output_' || itemid as variable,
        charttime,
        cast(null as timestamp) as endtime,
        storetime,
        value as number
    from outputs
    union all
    select
        moments.database,
        moments.stay_id,
        'input_' || moments.itemid as variable,
        moments.charttime,
        cast(null as timestamp) as endtime,
        moments.storetime,
        moments.rate * coalesce(units.factor, 1) as number
    from moments
    left join units on lower(trim(moments.rateuom)) = units.unit
    where moments.rate is not null
    union all
    select
        moments.database,
        moments.stay_id,
        'amount_' || moments.itemid as variable,
        moments.charttime,
        cast(null as timestamp) as endtime,
        moments.storetime,
        moments.amount * coalesce(units.factor, 1) as number
    from moments
    left join units on lower(trim(moments.amountuom)) = units.unit
    where moments.rate is null and moments.amount is not null
    union all
    select
        inputs.database,
        inputs.stay_id,
        'amount_' || inputs.itemid as variable,
        inputs.starttime as charttime,
        inputs.endtime,
        inputs.storetime,
        inputs.amount * coalesce(units.factor, 1) as number
    from inputs
    left join units on lower(trim(inputs.amountuom)) = units.unit
    where inputs.rate is null and inputs.amount is not null
),

-- what runs: the rate of an infusion, or 1 for a procedure
intervals as (
    select
        inputs.database,
        inputs.stay_id,
        'input_' || inputs.itemid as variable,
        inputs.starttime,
        inputs.endtime,
        inputs.storetime,
        false as known_at_end,
        case
            -- pressors are dosed by weight; a rate without it is put on the same scale
            when
                inputs.itemid in (221289, 221662, 221749, 221906) and lower(trim(inputs.rateuom)) = 'mcg/min'
                and inputs.patientweight > 0
                then inputs.rate / inputs.patientweight
            else inputs.rate * coalesce(units.factor, 1)
        end as number
    from inputs
    left join units on lower(trim(inputs.rateuom)) = units.unit
    where inputs.rate is not null
    union all
    select
        database,
        stay_id,
        'procedure_' || itemid as variable,
        starttime,
        endtime,
        storetime,
        true as known_at_end,
        1.0 as number
    from procedures
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
