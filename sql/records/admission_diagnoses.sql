-- Diagnoses: one row per hospital admission, with ICU stay or without, and distinct billed diagnosis as grouped.
-- Variable: diagnosis_grouping: 'raw' codes; 'gem': ICD-9-CM mapped forward to ICD-10-CM where that has one target;
-- 'category': 3 characters (4 for the external causes of ICD-9); 'ccsr': the first of AHRQ's categories. A code that
-- the mapping does not know stays as it is, with its version.
with billed as (
    select
        'mimic_iv' as database,
        hadm_id,
        icd_code as code,
        icd_version
    from mimic_iv__diagnoses_icd
    union all
    select
        'mimic_iii' as database,
        hadm_id,
        trim(icd9_code) as code,
        9 as icd_version
    from mimic_iii__diagnoses_icd
    union all
    select
        'mimic_iii_carevue' as database,
        hadm_id,
        trim(icd9_code) as code,
        9 as icd_version
    from mimic_iii_carevue__diagnoses_icd
),

mappings as (
    select
        icd_version,
        code,
        target,
        target_version
    from code_mappings
    where grouping = getvariable('diagnosis_grouping')
),

grouped as (
    select distinct
        billed.database,
        billed.hadm_id,
        case getvariable('diagnosis_grouping')
            when 'raw' then billed.code
            when 'category' then left(billed.code, if(billed.icd_version = 9 and billed.code like 'E%', 4, 3))
            when 'gem' then coalesce(mappings.target, billed.code)
            when 'ccsr' then coalesce(mappings.target, billed.code)
            else error('diagnosis_grouping must be raw, gem, category or ccsr')
        end as code,
        coalesce(mappings.target_version, billed.icd_version) as icd_version
    from billed
    left join mappings on billed.icd_version = mappings.icd_version and billed.code = mappings.code
    where billed.code != ''
)

select
    admissions.database,
    admissions.subject_id,
    admissions.hadm_id,
    admissions.admit_time,
    admissions.discharge_time,
    cast(grouped.icd_version as smallint) as icd_version,
    grouped.code
from grouped
inner join ehr_admissions as admissions
    on grouped.database = admissions.database and grouped.hadm_id = admissions.hadm_id
order by admissions.hadm_id, grouped.icd_version, grouped.code
