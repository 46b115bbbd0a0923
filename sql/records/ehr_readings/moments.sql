-- CareVue, what was noted to run at one moment: one row per inputevents_cv row; rate and amount may stand in rows of
-- their own, in units as charted.
select
    'mimic_iii' as database,
    icustay_id as stay_id,
    itemid,
    charttime,
    storetime,
    amount,
    amountuom,
    rate,
    rateuom
from mimic_iii__inputevents_cv
union all
select
    'mimic_iii_carevue' as database,
    icustay_id as stay_id,
    itemid,
    charttime,
    storetime,
    amount,
    amountuom,
    rate,
    rateuom
from mimic_iii_carevue__inputevents_cv
