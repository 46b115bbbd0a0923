-- Demographics: one row per EHR record, as known at admission and at the first ICU stay; age in years.
--
-- One encoding for MIMIC-IV and MIMIC-III: a category that only one of them can have would name the database.
-- Language, religion and marital status are left out. Insurance: Medicare, Medicaid, other. Urgent admissions and
-- those under observation are emergencies: MIMIC-III knows hardly any of the former (transfers are emergencies there)
-- and none of the latter. Care units: CSRU is CVICU, with the CCU cardiac; neurosurgical units are surgical, mixed
-- medical and surgical ones medical; the rest (NICU, PACU) are other.
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
        admissions.age_years,
        admissions.gender,
        upper(trim(admissions.race)) as race,
        lower(trim(admissions.insurance)) as insurance,
        upper(trim(admissions.admission_type)) as admission_type,
        first_units.care_unit
    from ehr_records as records
    inner join ehr_admissions as admissions on records.hadm_id = admissions.hadm_id
    left join first_units on records.hadm_id = first_units.hadm_id
    where admissions.gender is not null
)

select
    subject_id,
    hadm_id,
    age_years,
    gender,
    case
        when race is null or race like 'UNKNOWN%' or race in ('UNABLE TO OBTAIN', 'PATIENT DECLINED TO ANSWER')
            then 'unknown'
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
        when admission_type in ('EW EMER.', 'DIRECT EMER.', 'EMERGENCY', 'URGENT') then 'emergency'
        when admission_type like '%OBSERVATION%' then 'emergency'
        else 'unknown'
    end as admission_group,
    case
        when care_unit is null or care_unit in ('', 'unknown') then 'unknown'
        when care_unit like '%trauma%' or care_unit = 'tsicu' then 'trauma'
        when care_unit like '%card%' or care_unit like '%coronary%' or care_unit in ('ccu', 'csru') then 'cardiac'
        when care_unit like '%medic%' or care_unit = 'micu' then 'medical'
        when care_unit like '%surg%' or care_unit like '%neuro%' or care_unit = 'sicu' then 'surgical'
        else 'other'
    end as care_unit_group
from described
order by hadm_id
