-- What left the body: one row per outputevents row of any database that is not marked as an error; ml.
select
    'mimic_iv' as database,
    stay_id,
    itemid,
    charttime,
    storetime,
    value
from mimic_iv__outputevents
union all
select
    'mimic_iii' as database,
    icustay_id as stay_id,
    itemid,
    charttime,
    storetime,
    value
from mimic_iii__outputevents
where iserror is distinct from 1
union all
select
    'mimic_iii_carevue' as database,
    icustay_id as stay_id,
    itemid,
    charttime,
    storetime,
    value
from mimic_iii_carevue__outputevents
where iserror is distinct from 1
