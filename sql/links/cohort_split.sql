-- Cohorts: one row per record. A hash of "seed:id" draws every share, so the draw depends on nothing else.
-- Variables: ehr_holdout_share of the EHR subjects (holdout_seed), retrieval_share of the studies of X-ray subjects
-- without EHR (retrieval_seed). X-rays of an EHR subject stand where its EHR stands; the studies not drawn are unused.
-- MIMIC-III is for evaluation alone: its subjects have ids of their own, and no X-ray is ever one of theirs.
with ehr_subjects as (
    select distinct
        subject_id,
        database,
        case
            when database != 'mimic_iv' then 'mimic_iii'
            when id_share(getvariable('holdout_seed'), subject_id) < getvariable('ehr_holdout_share') then 'ehr_holdout'
            else 'pretrain'
        end as split
    from ehr_records
),

records as (
    select
        'ehr' as source,
        records.record_id,
        records.subject_id,
        records.hadm_id as study_id,
        ehr_subjects.split
    from ehr_records as records
    inner join ehr_subjects
        on records.subject_id = ehr_subjects.subject_id and records.database = ehr_subjects.database
    union all
    select
        'cxr' as source,
        records.record_id,
        records.subject_id,
        records.study_id,
        case
            when ehr_subjects.split is not null then ehr_subjects.split
            when id_share(getvariable('retrieval_seed'), records.study_id) < getvariable('retrieval_share')
                then 'retrieval_mimic_cxr'
            else 'unused'
        end as split
    from cxr_records as records
    left join ehr_subjects on records.subject_id = ehr_subjects.subject_id and ehr_subjects.database = 'mimic_iv'
)

select
    source,
    record_id,
    subject_id,
    study_id,
    split
from records
order by source, record_id
