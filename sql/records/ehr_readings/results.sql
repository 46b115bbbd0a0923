-- What names its patient and no stay: one row per laboratory result, and one per specimen drawn for microbiology, of
-- any database. A specimen shows 1, never what grew.
select
    'mimic_iv' as database,
    subject_id,
    'lab_' || itemid as variable,
    charttime,
    storetime,
    value,
    valuenum
from mimic_iv__labevents
union all
select
    'mimic_iii' as database,
    subject_id,
    'lab_' || itemid as variable,
    charttime,
    cast(null as timestamp) as storetime,
    value,
    valuenum
from mimic_iii__labevents
union all
select
    'mimic_iii_carevue' as database,
    subject_id,
    'lab_' || itemid as variable,
    charttime,
    cast(null as timestamp) as storetime,
    value,
    valuenum
from mimic_iii_carevue__labevents
union all
(
    select distinct
        database,
        subject_id,
        'micro_' || spec_itemid as variable,
        -- without the hour of the draw, its day is over when it is known
        coalesce(charttime, chartdate + interval 1 day) as charttime,
        cast(null as timestamp) as storetime,
        cast(null as varchar) as value,
        1.0 as valuenum
    from (
        select
            'mimic_iv' as database,
            subject_id,
            spec_itemid,
            charttime,
            chartdate
        from mimic_iv__microbiologyevents
        union all
        select
            'mimic_iii' as database,
            subject_id,
            spec_itemid,
            charttime,
            chartdate
        from mimic_iii__microbiologyevents
        union all
        select
            'mimic_iii_carevue' as database,
            subject_id,
            spec_itemid,
            charttime,
            chartdate
        from mimic_iii_carevue__microbiologyevents
    ) as specimens
    where spec_itemid is not null
)
