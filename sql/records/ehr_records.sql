-- EHR records: one row per hospital admission with at least one ICU stay; times in the subject's shifted calendar.
-- Variable: record_time, what stands for the time of the record: 'admission', 'icu_in' or 'discharge'.
with icu as (
    select
        hadm_id,
        min(intime) as first_icu_time,
        count(*) as num_stays
    from mimic_iv__icustays
    group by hadm_id
),

admissions as (
    select
        admissions.subject_id,
        admissions.hadm_id,
        admissions.admittime as admit_time,
        greatest(coalesce(admissions.dischtime, admissions.admittime), admissions.admittime) as discharge_time,
        icu.first_icu_time,
        icu.num_stays
    from mimic_iv__admissions as admissions
    inner join icu on admissions.hadm_id = icu.hadm_id
)

select
    'mimic_iv' as database,
    cast(hadm_id as varchar) as record_id,
    subject_id,
    hadm_id,
    admit_time,
    discharge_time,
    first_icu_time,
    case getvariable('record_time')
        when 'admission' then admit_time
        when 'icu_in' then first_icu_time
        when 'discharge' then discharge_time
        else error('record_time must be admission, icu_in or discharge')
    end as record_time,
    cast(num_stays as integer) as num_stays
from admissions
order by hadm_id
