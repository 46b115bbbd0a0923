-- EHR records: one row per hospital admission with at least one ICU stay; times in the subject's shifted calendar.
-- Variable: record_time, what stands for the time of the record: 'admission', 'icu_in' or 'discharge'.
with stays as (
    select
        'mimic_iv' as database,
        hadm_id,
        intime
    from mimic_iv__icustays
    union all
    select
        'mimic_iii' as database,
        hadm_id,
        intime
    from mimic_iii__icustays
    union all
    select
        'mimic_iii_carevue' as database,
        hadm_id,
        intime
    from mimic_iii_carevue__icustays
),

icu as (
    select
        database,
        hadm_id,
        min(intime) as first_icu_time,
        count(*) as num_stays
    from stays
    group by database, hadm_id
)

select
    admissions.database,
    cast(admissions.hadm_id as varchar) as record_id,
    admissions.subject_id,
    admissions.hadm_id,
    admissions.admit_time,
    admissions.discharge_time,
    icu.first_icu_time,
    case getvariable('record_time')
        when 'admission' then admissions.admit_time
        when 'icu_in' then icu.first_icu_time
        when 'discharge' then admissions.discharge_time
        else error('record_time must be admission, icu_in or discharge')
    end as record_time,
    cast(icu.num_stays as integer) as num_stays,
    admissions.is_in_carevue_subset
from ehr_admissions as admissions
inner join icu on admissions.database = icu.database and admissions.hadm_id = icu.hadm_id
order by admissions.hadm_id
