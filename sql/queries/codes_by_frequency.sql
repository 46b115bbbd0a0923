-- Which diagnoses are most frequent in pre-training? One row per code; shares of the pre-training EHR patients.
with subjects as (
    select count(distinct subject_id) as num_subjects
    from cohort_split
    where source = 'ehr' and split = 'pretrain'
)

select
    vocabulary.icd_version,
    vocabulary.icd_code,
    vocabulary.title,
    vocabulary.num_records,
    vocabulary.num_subjects,
    vocabulary.num_subjects / subjects.num_subjects as share_of_subjects
from diagnosis_vocabulary as vocabulary
cross join subjects
order by
    vocabulary.num_subjects desc, vocabulary.num_records desc, vocabulary.icd_version asc, vocabulary.icd_code asc
limit 50
