-- Every step of a curve stands for five positives or more, there are as many negatives, and a curve has two steps.
-- severity: blocking; grain: one failing curve; tables: curves.
select
    task,
    dataset,
    cohort,
    mode,
    method,
    max(point) as num_points,
    min(num_positive) as num_positive,
    min(n) as num_examples
from curves
group by all
having
    min(num_positive) < 5 * count(*)
    or min(n - num_positive) < 5 * count(*)
    or max(point) != count(*)
    or count(*) < 2
order by all
