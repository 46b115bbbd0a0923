-- How many records and patients does each cohort hold? One row per source and cohort.
select
    source,
    split,
    count(*) as num_records,
    count(distinct study_id) as num_studies,
    count(distinct subject_id) as num_subjects
from cohort_split
group by source, split
order by source, split
