-- ICU stays that end before they begin, and those that begin before an earlier stay of their patient is over: they are
-- kept, the former without a length, and a laboratory result inside two windows is a reading of both.
-- severity: warning; grain: one stay; tables: ehr_stays.
with stays as (
    select
        database,
        subject_id,
        stay_id,
        in_time,
        out_time,
        max(out_time) over (
            partition by database, subject_id
            order by in_time, stay_id
            rows between unbounded preceding and 1 preceding
        ) as busy_until
    from ehr_stays
)

select
    database,
    subject_id,
    stay_id,
    case when out_time < in_time then 'negative' else 'overlapping' end as problem
from stays
where out_time < in_time or in_time < busy_until
order by stay_id
