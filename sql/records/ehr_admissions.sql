-- Admissions: one row per hospital admission of every database, with an ICU stay or without; age in years.
--
-- MIMIC-III and its CareVue subset name the same subjects by the same ids: where both are at hand, a subject in both is
-- taken from MIMIC-III. The subset holds nobody whom MIMIC-IV holds too, and each admission says whether it is in it.
-- Ages over 89 are hidden at the source (91 in the year of MIMIC-IV's anchor, a birth 300 years before in MIMIC-III):
-- every age over 89 is 91 here. An admission without its patient has neither age nor gender.
with hospital as (
    select
        'mimic_iv' as database,
        admissions.subject_id,
        admissions.hadm_id,
        admissions.admittime,
        admissions.dischtime,
        admissions.deathtime,
        admissions.hospital_expire_flag,
        patients.anchor_age + date_part('year', admissions.admittime) - patients.anchor_year as age_years,
        patients.gender,
        admissions.race,
        admissions.insurance,
        admissions.admission_type
    from mimic_iv__admissions as admissions
    left join mimic_iv__patients as patients on admissions.subject_id = patients.subject_id
    union all
    select
        'mimic_iii' as database,
        admissions.subject_id,
        admissions.hadm_id,
        admissions.admittime,
        admissions.dischtime,
        admissions.deathtime,
        admissions.hospital_expire_flag,
        date_sub('year', patients.dob, admissions.admittime) as age_years,
        patients.gender,
        admissions.ethnicity as race,
        admissions.insurance,
        admissions.admission_type
    from mimic_iii__admissions as admissions
    left join mimic_iii__patients as patients on admissions.subject_id = patients.subject_id
    union all
    select
        'mimic_iii_carevue' as database,
        admissions.subject_id,
        admissions.hadm_id,
        admissions.admittime,
        admissions.dischtime,
        admissions.deathtime,
        admissions.hospital_expire_flag,
        date_sub('year', patients.dob, admissions.admittime) as age_years,
        patients.gender,
        admissions.ethnicity as race,
        admissions.insurance,
        admissions.admission_type
    from mimic_iii_carevue__admissions as admissions
    left join mimic_iii_carevue__patients as patients on admissions.subject_id = patients.subject_id
    where admissions.subject_id not in (select taken.subject_id from mimic_iii__patients as taken)
)

select
    database,
    subject_id,
    hadm_id,
    admittime as admit_time,
    greatest(coalesce(dischtime, admittime), admittime) as discharge_time,
    deathtime as death_time,
    hospital_expire_flag = 1 as died_in_hospital,
    cast(
        case
            when age_years > 89 then 91
            when age_years >= 0 then age_years
        end as double
    ) as age_years,
    gender,
    race,
    insurance,
    admission_type,
    database != 'mimic_iv'
    and subject_id in (select members.subject_id from mimic_iii_carevue__patients as members) as is_in_carevue_subset
from hospital
order by hadm_id
