-- Readings in the shared space: one row per reading of ehr_readings and concept it stands for, in the concept's unit.
--
-- The rule goes by the size of a number, never by its unit as charted. Numbers outside the range of the concept are no
-- measurements and are left out, as is everything without a concept: missing, never zero. Rates of nothing (an infusion
-- that was set to 0) are left out too, because only CareVue charts them.
with rules as (
    select distinct
        concept,
        variable,
        rule,
        low,
        high
    from concept_items
),

numbers as (
    select
        readings.subject_id,
        readings.hadm_id,
        readings.stay_id,
        rules.concept,
        readings.offset_hours,
        readings.known_hours,
        readings.known_is_assumed,
        rules.low,
        rules.high,
        rules.rule,
        case
            when rules.rule = 'noted'
                then
                    case when trim(coalesce(readings.value, '')) != 'Other/Remarks' then 1.0 end
            else coalesce(readings.value_number, try_cast(trim(readings.value) as double))
        end as number
    from ehr_readings as readings
    inner join rules on readings.variable = rules.variable
),

converted as (
    select
        subject_id,
        hadm_id,
        stay_id,
        concept as variable,
        offset_hours,
        case
            when rule = 'fahrenheit' and number > 50 then round((number - 32) / 1.8, 2)
            when rule = 'fraction' and number <= 1 then round(number * 100, 2)
            when rule = 'pounds' then round(number * 0.45359237, 2)
            when rule = 'inches' and number <= 96 then round(number * 2.54, 2)
            when rule = 'given' then if(number > 0, 1.0, null)
            else number
        end as value_number,
        known_hours,
        known_is_assumed,
        low,
        high
    from numbers
)

select
    subject_id,
    hadm_id,
    stay_id,
    variable,
    offset_hours,
    cast(null as varchar) as value,
    value_number,
    known_hours,
    known_is_assumed
from converted
where value_number between low and high and isfinite(value_number)
order by subject_id, stay_id, variable, offset_hours, value_number, known_hours, known_is_assumed
