-- Which readings of the first 48 hours were not yet known at 48 hours? One row per variable, most frequent first.
select
    variable,
    count(*) as num_readings,
    count(*) filter (where known_hours >= 48) as num_late,
    count(*) filter (where known_hours >= 48) / count(*) as share_late
from ehr_readings
where offset_hours < 48
group by variable
having count(*) filter (where known_hours >= 48) > 0
order by num_late desc, variable asc
