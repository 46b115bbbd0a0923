-- What the wanted grouping can map is mapped: otherwise one diagnosis stands under two codes.
-- Variable: diagnosis_grouping.
-- severity: blocking; grain: one failing code; tables: admission_diagnoses, code_mappings.
select
    diagnoses.icd_version,
    diagnoses.code,
    mappings.target,
    count(*) as num_admissions
from admission_diagnoses as diagnoses
inner join code_mappings as mappings on diagnoses.icd_version = mappings.icd_version and diagnoses.code = mappings.code
where mappings.grouping = getvariable('diagnosis_grouping')
group by diagnoses.icd_version, diagnoses.code, mappings.target
order by diagnoses.icd_version, diagnoses.code
