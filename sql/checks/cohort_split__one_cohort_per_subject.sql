-- No subject stands in two cohorts; unused is no cohort.
-- severity: blocking; grain: one failing subject; tables: cohort_split.
select
    subject_id,
    list_sort(list(distinct split)) as splits
from cohort_split
where split != 'unused'
group by subject_id
having count(distinct split) > 1
order by subject_id
