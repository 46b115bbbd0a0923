-- Of how many distinct ICD codes does each grouping know the target? One row per database, version and grouping.
with billed as (
    select distinct
        'mimic_iv' as database,
        icd_version,
        icd_code as code
    from mimic_iv__diagnoses_icd
    union all
    select distinct
        'mimic_iii' as database,
        9 as icd_version,
        trim(icd9_code) as code
    from mimic_iii__diagnoses_icd
    where icd9_code is not null
    union all
    select distinct
        'mimic_iii_carevue' as database,
        9 as icd_version,
        trim(icd9_code) as code
    from mimic_iii_carevue__diagnoses_icd
    where icd9_code is not null
)

select
    billed.database,
    billed.icd_version,
    groupings.grouping,
    count(*) as num_codes,
    count(mappings.code) as num_mapped,
    count(mappings.code) / count(*) as share_mapped
from billed
cross join (select distinct code_mappings.grouping from code_mappings) as groupings
left join code_mappings as mappings
    on
        groupings.grouping = mappings.grouping
        and billed.icd_version = mappings.icd_version
        and billed.code = mappings.code
group by billed.database, billed.icd_version, groupings.grouping
order by billed.database, billed.icd_version, groupings.grouping
