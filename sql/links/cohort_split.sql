-- Cohorts: one row per record. A hash of "seed:id" draws every share, so the draw depends on nothing else.
-- Variables: ehr_holdout_share of the EHR subjects (holdout_seed). Films of an EHR subject stand where its EHR stands.
-- Other films pre-train where their source is one of own_sources, whose patients are nobody else's. Else they are
-- searched, each release by itself: of shared_sources, which pre-train by their EHR subjects, a retrieval_share of the
-- studies (retrieval_seed), the others being unused; of sources that do not pre-train, all. Films of labelled_sources
-- have labels and no reports: they are classified.
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
        films.source,
        films.record_id,
        films.subject_id,
        films.study_id,
        case
            when ehr_subjects.split is not null then ehr_subjects.split
            when list_contains(getvariable('own_sources'), films.source) then 'pretrain'
            when
                list_contains(getvariable('shared_sources'), films.source)
                and id_share(getvariable('retrieval_seed'), films.study_id) >= getvariable('retrieval_share')
                then 'unused'
            when list_contains(getvariable('labelled_sources'), films.source) then 'zero_shot_' || films.database
            else 'retrieval_' || films.database
        end as split
    from cxr_records as films
    left join ehr_subjects on films.subject_id = ehr_subjects.subject_id and ehr_subjects.database = 'mimic_iv'
)

select
    source,
    record_id,
    subject_id,
    study_id,
    split
from records
order by source, record_id
