-- What is trained here has seen nobody of any evaluation set.
-- severity: blocking; grain: one failing model and set; tables: exposure.
select
    method,
    dataset,
    num_films,
    num_seen
from exposure
where (method = 'medcsp' or method like '%\_small' escape '\') and coalesce(num_seen, 1) > 0
order by method, dataset
