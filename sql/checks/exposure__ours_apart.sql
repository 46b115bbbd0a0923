-- What is trained here has seen nobody of any evaluation set, unless its towers had (it is marked then).
-- severity: blocking; grain: one failing model and set; tables: exposure.
select
    method,
    dataset,
    num_films,
    num_seen
from exposure
where
    (method = 'medcsp' or method like '%\_small' escape '\')
    and coalesce(num_seen, 1) > 0
    and not is_contaminated
order by method, dataset
