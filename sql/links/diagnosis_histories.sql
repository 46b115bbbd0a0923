-- Histories: one row per record of either source with the distinct diagnoses of its subject as vocabulary positions.
-- Every hospital admission counts, with and without ICU stay. A record without codes keeps its row, with an empty list.
-- Variables: history, which admissions count: 'to_date': begun by the record's time; 'prior': ended before it; 'all':
-- every one, also those after it (the paper's); diagnosis_grouping as in ehr_codes.
with moments as (
    select
        'ehr' as source,
        record_id,
        subject_id,
        record_time
    from ehr_records
    union all
    select
        'cxr' as source,
        record_id,
        subject_id,
        record_time
    from cxr_records
),

instants as (
    select distinct
        subject_id,
        record_time
    from moments
),

codes as (
    select distinct
        diagnoses.subject_id,
        admissions.admittime,
        greatest(coalesce(admissions.dischtime, admissions.admittime), admissions.admittime) as dischtime,
        vocabulary.code_index
    from mimic_iv__diagnoses_icd as diagnoses
    inner join mimic_iv__admissions as admissions on diagnoses.hadm_id = admissions.hadm_id
    inner join diagnosis_vocabulary as vocabulary
        on
            diagnoses.icd_version = vocabulary.icd_version
            and case getvariable('diagnosis_grouping')
                when 'raw' then diagnoses.icd_code
                when 'category'
                    then left(diagnoses.icd_code, if(diagnoses.icd_version = 9 and diagnoses.icd_code like 'E%', 4, 3))
                else error('diagnosis_grouping must be raw or category')
            end = vocabulary.icd_code
),

held as (
    select distinct
        instants.subject_id,
        instants.record_time,
        codes.code_index
    from instants
    inner join codes on instants.subject_id = codes.subject_id
    where
        case getvariable('history')
            when 'all' then true
            when 'to_date' then codes.admittime <= instants.record_time
            when 'prior' then codes.dischtime < instants.record_time
            else error('history must be to_date, all or prior')
        end
),

histories as (
    select
        subject_id,
        record_time,
        list(code_index order by code_index) as code_indices
    from held
    group by subject_id, record_time
)

select
    moments.source,
    moments.record_id,
    moments.subject_id,
    cast(coalesce(len(histories.code_indices), 0) as integer) as num_codes,
    cast(coalesce(histories.code_indices, []) as integer[]) as code_indices
from moments
left join histories
    on moments.subject_id = histories.subject_id and moments.record_time = histories.record_time
order by moments.source, moments.record_id
