-- Charted dates: one row per datetimeevents row of any database that is not marked as an error.
select
    'mimic_iv' as database,
    stay_id,
    itemid,
    charttime,
    storetime,
    value
from mimic_iv__datetimeevents
union all
select
    'mimic_iii' as database,
    icustay_id as stay_id,
    itemid,
    charttime,
    storetime,
    value
from mimic_iii__datetimeevents
where error is distinct from 1
union all
select
    'mimic_iii_carevue' as database,
    icustay_id as stay_id,
    itemid,
    charttime,
    storetime,
    value
from mimic_iii_carevue__datetimeevents
where error is distinct from 1
