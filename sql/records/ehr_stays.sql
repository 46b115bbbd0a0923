-- ICU stays: one row per stay, the first of each EHR record by in-time; lengths in hours.
-- Variable: max_stays, how many stays of an admission are kept.
with stays as (
    select
        'mimic_iv' as database,
        'mimic_iv' as system,
        hadm_id,
        stay_id,
        intime,
        outtime,
        first_careunit
    from mimic_iv__icustays
    union all
    select
        'mimic_iii' as database,
        dbsource as system,
        hadm_id,
        icustay_id as stay_id,
        intime,
        outtime,
        first_careunit
    from mimic_iii__icustays
    union all
    select
        'mimic_iii_carevue' as database,
        dbsource as system,
        hadm_id,
        icustay_id as stay_id,
        intime,
        outtime,
        first_careunit
    from mimic_iii_carevue__icustays
),

ordered as (
    select
        stays.database,
        stays.system,
        records.subject_id,
        stays.hadm_id,
        stays.stay_id,
        row_number() over (partition by stays.hadm_id order by stays.intime, stays.stay_id) - 1 as stay_index,
        stays.intime as in_time,
        stays.outtime as out_time,
        stays.first_careunit
    from stays
    inner join ehr_records as records on stays.database = records.database and stays.hadm_id = records.hadm_id
)

select
    database,
    system,
    subject_id,
    hadm_id,
    stay_id,
    cast(stay_index as integer) as stay_index,
    in_time,
    out_time,
    first_careunit,
    case when out_time >= in_time then date_diff('microsecond', in_time, out_time) / 3.6e9 end as los_hours
from ordered
where stay_index < getvariable('max_stays')
order by stay_id
