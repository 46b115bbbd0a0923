-- MetaVision and MIMIC-IV, what ran from start to end: one row per inputevents row that was not rewritten; amounts and
-- rates in units as charted.
select
    'mimic_iv' as database,
    stay_id,
    itemid,
    starttime,
    endtime,
    storetime,
    amount,
    amountuom,
    rate,
    rateuom,
    patientweight
from mimic_iv__inputevents
where trim(statusdescription) is distinct from 'Rewritten'
union all
select
    'mimic_iii' as database,
    icustay_id as stay_id,
    itemid,
    starttime,
    endtime,
    storetime,
    amount,
    amountuom,
    rate,
    rateuom,
    patientweight
from mimic_iii__inputevents_mv
where trim(statusdescription) is distinct from 'Rewritten'
union all
select
    'mimic_iii_carevue' as database,
    icustay_id as stay_id,
    itemid,
    starttime,
    endtime,
    storetime,
    amount,
    amountuom,
    rate,
    rateuom,
    patientweight
from mimic_iii_carevue__inputevents_mv
where trim(statusdescription) is distinct from 'Rewritten'
