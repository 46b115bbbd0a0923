-- Charted readings of any database: one row per chartevents row that is not marked as an error, with its stay.
select
    'mimic_iv' as database,
    stay_id,
    itemid,
    charttime,
    storetime,
    value,
    valuenum
from mimic_iv__chartevents
union all
select
    'mimic_iii' as database,
    icustay_id as stay_id,
    itemid,
    charttime,
    storetime,
    value,
    valuenum
from mimic_iii__chartevents
where error is distinct from 1
union all
select
    'mimic_iii_carevue' as database,
    icustay_id as stay_id,
    itemid,
    charttime,
    storetime,
    value,
    valuenum
from mimic_iii_carevue__chartevents
where error is distinct from 1
