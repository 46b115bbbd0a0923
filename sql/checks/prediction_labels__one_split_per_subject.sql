-- No patient crosses the split or the folds: one part and one fold over all tasks, horizons and cohorts.
-- severity: blocking; grain: one failing subject; tables: prediction_labels, prediction_split.
select
    labels.subject_id,
    list_sort(list(distinct cast(labels.split as varchar))) as splits,
    list_sort(list(distinct labels.fold)) as folds
from prediction_labels as labels
left join prediction_split as parts on labels.subject_id = parts.subject_id
group by labels.subject_id
having
    count(distinct labels.split) != 1 or count(distinct labels.fold) != 1
    or not coalesce(bool_and(labels.split = parts.split and labels.fold = parts.fold), false)
order by labels.subject_id
