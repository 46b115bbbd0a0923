-- Procedures with start and end: one row per procedureevents row of any database that was not rewritten.
select
    'mimic_iv' as database,
    stay_id,
    itemid,
    starttime,
    endtime,
    storetime
from mimic_iv__procedureevents
where trim(statusdescription) is distinct from 'Rewritten'
union all
select
    'mimic_iii' as database,
    icustay_id as stay_id,
    itemid,
    starttime,
    endtime,
    storetime
from mimic_iii__procedureevents_mv
where trim(statusdescription) is distinct from 'Rewritten'
union all
select
    'mimic_iii_carevue' as database,
    icustay_id as stay_id,
    itemid,
    starttime,
    endtime,
    storetime
from mimic_iii_carevue__procedureevents_mv
where trim(statusdescription) is distinct from 'Rewritten'
