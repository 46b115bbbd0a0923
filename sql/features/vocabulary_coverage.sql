-- Vocabulary coverage: one row per kind of code, database and cohort: how much of what the records hold is known.
-- A record whose codes are all unknown, or that has none, lacks the modality.
with vocabulary as (
    select
        'diagnosis' as kind,
        icd_version,
        icd_code as code
    from diagnosis_vocabulary
    union all
    select
        'drug' as kind,
        0 as icd_version,
        drug as code
    from drug_vocabulary
),

held as (
    select
        codes.kind,
        codes.hadm_id,
        count(*) as num_codes,
        count(*) filter (where vocabulary.code is null) as num_out_of_vocabulary
    from ehr_codes as codes
    left join vocabulary
        on codes.kind = vocabulary.kind and codes.icd_version = vocabulary.icd_version and codes.code = vocabulary.code
    group by codes.kind, codes.hadm_id
),

records as (
    select
        kinds.kind,
        records.database,
        cohorts.split,
        records.hadm_id
    from ehr_records as records
    inner join cohort_split as cohorts on cohorts.source = 'ehr' and records.hadm_id = cohorts.study_id
    cross join (select unnest(['diagnosis', 'drug']) as kind) as kinds
)

select
    records.kind,
    records.database,
    records.split,
    count(*) as num_records,
    count(*) filter (where held.num_codes is null) as num_records_without_codes,
    count(*) filter (where held.num_codes = held.num_out_of_vocabulary) as num_records_all_unknown,
    cast(coalesce(sum(held.num_codes), 0) as bigint) as num_codes,
    cast(coalesce(sum(held.num_out_of_vocabulary), 0) as bigint) as num_out_of_vocabulary,
    cast(sum(held.num_out_of_vocabulary) as bigint) / cast(sum(held.num_codes) as bigint) as share_out_of_vocabulary
from records
left join held on records.kind = held.kind and records.hadm_id = held.hadm_id
group by records.kind, records.database, records.split
order by records.kind, records.database, records.split
