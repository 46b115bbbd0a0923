-- Histories: one row per record of every source with the distinct diagnoses of its subject as vocabulary positions.
-- Every hospital admission counts, with and without ICU stay. A record without codes keeps its row, with an empty list;
-- codes that the vocabulary does not hold are left out of the list and counted.
-- Variable: history, which admissions count: 'to_date': begun by the record's time; 'prior': ended before it; 'all':
-- every one, also those after it (the paper's). Films are of MIMIC-IV's subjects or of nobody with admissions.
with moments as (
    select
        'ehr' as source,
        database,
        record_id,
        subject_id,
        record_time
    from ehr_records
    union all
    select
        source,
        'mimic_iv' as database,
        record_id,
        subject_id,
        record_time
    from cxr_records
),

instants as (
    select distinct
        database,
        subject_id,
        record_time
    from moments
),

codes as (
    select
        diagnoses.database,
        diagnoses.subject_id,
        diagnoses.admit_time,
        diagnoses.discharge_time,
        diagnoses.icd_version || ':' || diagnoses.code as name,
        vocabulary.code_index
    from admission_diagnoses as diagnoses
    left join diagnosis_vocabulary as vocabulary
        on diagnoses.icd_version = vocabulary.icd_version and diagnoses.code = vocabulary.icd_code
),

histories as (
    select
        instants.database,
        instants.subject_id,
        instants.record_time,
        list(distinct codes.code_index order by codes.code_index) filter (codes.code_index is not null) as code_indices,
        count(distinct codes.name) filter (codes.code_index is null) as num_out_of_vocabulary
    from instants
    inner join codes on instants.database = codes.database and instants.subject_id = codes.subject_id
    where
        case getvariable('history')
            when 'all' then true
            when 'to_date' then codes.admit_time <= instants.record_time
            when 'prior' then codes.discharge_time < instants.record_time
            else error('history must be to_date, all or prior')
        end
    group by instants.database, instants.subject_id, instants.record_time
)

select
    moments.source,
    moments.record_id,
    moments.subject_id,
    cast(coalesce(len(histories.code_indices), 0) as integer) as num_codes,
    cast(coalesce(histories.num_out_of_vocabulary, 0) as integer) as num_out_of_vocabulary,
    cast(coalesce(histories.code_indices, []) as integer[]) as code_indices
from moments
left join histories
    on
        moments.database = histories.database
        and moments.subject_id = histories.subject_id
        and moments.record_time = histories.record_time
order by moments.source, moments.record_id
