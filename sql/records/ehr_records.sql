-- EHR records: one row per hospital admission with at least one ICU stay; times in the subject's shifted calendar.
-- Variable: record_time, what stands for the time of the record: 'admission', 'icu_in' or 'discharge'.
--
-- MIMIC-III and its CareVue subset name the same subjects by the same ids: where both are at hand, a subject in both is
-- taken from MIMIC-III. The subset holds nobody whom MIMIC-IV holds too, and each record says whether it is in it.
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
    where subject_id not in (select patients.subject_id from mimic_iii__patients as patients)
),

icu as (
    select
        database,
        hadm_id,
        min(intime) as first_icu_time,
        count(*) as num_stays
    from stays
    group by database, hadm_id
),

hospital as (
    select
        'mimic_iv' as database,
        subject_id,
        hadm_id,
        admittime,
        dischtime
    from mimic_iv__admissions
    union all
    select
        'mimic_iii' as database,
        subject_id,
        hadm_id,
        admittime,
        dischtime
    from mimic_iii__admissions
    union all
    select
        'mimic_iii_carevue' as database,
        subject_id,
        hadm_id,
        admittime,
        dischtime
    from mimic_iii_carevue__admissions
    where subject_id not in (select patients.subject_id from mimic_iii__patients as patients)
),

admissions as (
    select
        hospital.database,
        hospital.subject_id,
        hospital.hadm_id,
        hospital.admittime as admit_time,
        greatest(coalesce(hospital.dischtime, hospital.admittime), hospital.admittime) as discharge_time,
        icu.first_icu_time,
        icu.num_stays
    from hospital
    inner join icu on hospital.database = icu.database and hospital.hadm_id = icu.hadm_id
)

select
    database,
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
    cast(num_stays as integer) as num_stays,
    database != 'mimic_iv'
    and subject_id in (select patients.subject_id from mimic_iii_carevue__patients as patients) as is_in_carevue_subset
from admissions
order by hadm_id
