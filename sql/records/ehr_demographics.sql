-- Demographics: one row per EHR record, as known at admission and at the first ICU stay; age in years.
-- Ages over 89 are hidden at the source (91 in the year of the anchor), so every age over 89 is 91 here.
with first_units as (
    select
        hadm_id,
        lower(first_careunit) as care_unit
    from ehr_stays
    where stay_index = 0
),

described as (
    select
        records.subject_id,
        records.hadm_id,
        patients.anchor_age + date_part('year', admissions.admittime) - patients.anchor_year as age_years,
        patients.gender,
        upper(admissions.race) as race,
        lower(admissions.insurance) as insurance,
        upper(admissions.admission_type) as admission_type,
        first_units.care_unit
    from ehr_records as records
    inner join mimic_iv__admissions as admissions on records.hadm_id = admissions.hadm_id
    inner join mimic_iv__patients as patients on records.subject_id = patients.subject_id
    left join first_units on records.hadm_id = first_units.hadm_id
)

select
    subject_id,
    hadm_id,
    cast(
        case
            when age_years > 89 then 91
            when age_years >= 0 then age_years
        end as double
    ) as age_years,
    gender,
    case
        when race is null or race in ('UNKNOWN', 'UNABLE TO OBTAIN', 'PATIENT DECLINED TO ANSWER') then 'unknown'
        when race like 'WHITE%' or race = 'PORTUGUESE' then 'white'
        when race like 'BLACK%' then 'black'
        when race like 'HISPANIC%' or race = 'SOUTH AMERICAN' then 'hispanic'
        when race like 'ASIAN%' then 'asian'
        else 'other'
    end as race_group,
    case
        when insurance is null then 'unknown'
        when insurance in ('medicaid', 'medicare') then insurance
        else 'other'
    end as insurance_group,
    case
        when admission_type in ('ELECTIVE', 'SURGICAL SAME DAY ADMISSION') then 'elective'
        when admission_type in ('EW EMER.', 'DIRECT EMER.', 'EMERGENCY') then 'emergency'
        when admission_type like '%OBSERVATION%' then 'observation'
        when admission_type = 'URGENT' then 'urgent'
        else 'unknown'
    end as admission_group,
    case
        when care_unit is null then 'unknown'
        when care_unit like '%trauma%' then 'trauma'
        when care_unit like '%card%' or care_unit like '%coronary%' then 'cardiac'
        when care_unit like '%neuro%' then 'neuro'
        when care_unit like '%medical/surgical%' then 'mixed'
        when care_unit like '%surg%' then 'surgical'
        when care_unit like '%medic%' then 'medical'
        else 'mixed'
    end as care_unit_group
from described
order by hadm_id
