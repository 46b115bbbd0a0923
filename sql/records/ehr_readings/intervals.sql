-- What runs: one row per infusion with a rate, in ml or mg an hour or mcg/kg/min, and per procedure, which shows 1.
select
    inputs.database,
    inputs.stay_id,
    'input_' || inputs.itemid as variable,
    inputs.starttime,
    inputs.endtime,
    inputs.storetime,
    false as known_at_end,
    case
        -- pressors are dosed by weight; a rate without it is put on the same scale
        when
            inputs.itemid in (221289, 221662, 221749, 221906) and lower(trim(inputs.rateuom)) = 'mcg/min'
            and inputs.patientweight > 0
            then inputs.rate / inputs.patientweight
        else inputs.rate * coalesce(units.factor, 1)
    end as number
from inputs
left join units on lower(trim(inputs.rateuom)) = units.unit
where inputs.rate is not null
union all
select
    database,
    stay_id,
    'procedure_' || itemid as variable,
    starttime,
    endtime,
    storetime,
    true as known_at_end,
    1.0 as number
from procedures
