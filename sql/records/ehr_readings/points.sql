-- What has a number and names its stay, at one moment: one row per output, per rate that CareVue noted, and per amount
-- that was given without a rate; mg, ml, or a rate as in units.
select
    database,
    stay_id,
    'output_' || itemid as variable,
    charttime,
    cast(null as timestamp) as endtime,
    storetime,
    value as number
from outputs
union all
select
    moments.database,
    moments.stay_id,
    'input_' || moments.itemid as variable,
    moments.charttime,
    cast(null as timestamp) as endtime,
    moments.storetime,
    moments.rate * coalesce(units.factor, 1) as number
from moments
left join units on lower(trim(moments.rateuom)) = units.unit
where moments.rate is not null
union all
select
    moments.database,
    moments.stay_id,
    'amount_' || moments.itemid as variable,
    moments.charttime,
    cast(null as timestamp) as endtime,
    moments.storetime,
    moments.amount * coalesce(units.factor, 1) as number
from moments
left join units on lower(trim(moments.amountuom)) = units.unit
where moments.rate is null and moments.amount is not null
union all
select
    inputs.database,
    inputs.stay_id,
    'amount_' || inputs.itemid as variable,
    inputs.starttime as charttime,
    inputs.endtime,
    inputs.storetime,
    inputs.amount * coalesce(units.factor, 1) as number
from inputs
left join units on lower(trim(inputs.amountuom)) = units.unit
where inputs.rate is null and inputs.amount is not null
