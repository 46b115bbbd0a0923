-- Shock: one row per stay of a cohort, with the first vasopressor of the stay. Which items are vasopressors is in
-- label_items; dobutamine and milrinone are none.
--
-- CareVue notes a pump when it is set up: a row counts where the rate is above zero, or where there is no rate and the
-- amount is. The onset excludes and counts as in labels_arf. Rewritten orders never count.
with items as (
    select distinct
        table_name,
        cast(code as bigint) as itemid,
        rule,
        word
    from label_items
    where label = 'shock'
),

running as (
    select
        'mimic_iv' as database,
        subject_id,
        hadm_id,
        stay_id,
        starttime as event_time
    from mimic_iv__inputevents
    where
        trim(statusdescription) is distinct from 'Rewritten'
        and itemid in (select items.itemid from items where items.table_name = 'inputevents')
    union all
    select
        'mimic_iii' as database,
        subject_id,
        hadm_id,
        icustay_id as stay_id,
        starttime as event_time
    from mimic_iii__inputevents_mv
    where
        trim(statusdescription) is distinct from 'Rewritten'
        and itemid in (select items.itemid from items where items.table_name = 'inputevents')
    union all
    select
        'mimic_iii_carevue' as database,
        subject_id,
        hadm_id,
        icustay_id as stay_id,
        starttime as event_time
    from mimic_iii_carevue__inputevents_mv
    where
        trim(statusdescription) is distinct from 'Rewritten'
        and itemid in (select items.itemid from items where items.table_name = 'inputevents')
),

noted as (
    select
        'mimic_iii' as database,
        subject_id,
        hadm_id,
        icustay_id as stay_id,
        itemid,
        charttime,
        rate,
        amount
    from mimic_iii__inputevents_cv
    where itemid in (select items.itemid from items where items.table_name = 'inputevents_cv')
    union all
    select
        'mimic_iii_carevue' as database,
        subject_id,
        hadm_id,
        icustay_id as stay_id,
        itemid,
        charttime,
        rate,
        amount
    from mimic_iii_carevue__inputevents_cv
    where itemid in (select items.itemid from items where items.table_name = 'inputevents_cv')
),

events as (
    select
        database,
        subject_id,
        hadm_id,
        stay_id,
        event_time
    from running
    where event_time is not null
    union all
    select
        noted.database,
        noted.subject_id,
        noted.hadm_id,
        noted.stay_id,
        noted.charttime as event_time
    from noted
    inner join items on noted.itemid = items.itemid and items.table_name = 'inputevents_cv'
    where
        noted.charttime is not null
        and case items.rule
            when 'given' then noted.rate > 0 or (noted.rate is null and noted.amount > 0)
            when 'given_swapped' then noted.amount > 0 or (noted.amount is null and noted.rate > 0)
        end
),

-- an event without a stay is of the stay that it falls into; the admission has every event of its stays and its own
seen as (
    select
        stays.stay_id,
        min(events.event_time) filter (
            where events.stay_id = stays.stay_id
            or (events.stay_id is null and events.event_time between stays.in_time and stays.out_time)
        ) as own_time,
        min(events.event_time) as first_time
    from prediction_stays as stays
    inner join events
        on
            stays.database = events.database and stays.subject_id = events.subject_id
            and (stays.hadm_id = events.hadm_id or stays.stay_id = events.stay_id)
    where len(stays.cohorts) > 0
    group by stays.stay_id
),

judged as (
    select
        stays.subject_id,
        stays.hadm_id,
        stays.stay_id,
        stays.index_time,
        coalesce(
            stays.excluded_by,
            case
                when seen.own_time < stays.index_time then 'onset_before_index'
                when seen.first_time < stays.index_time then 'onset_earlier_in_admission'
            end
        ) as excluded_by,
        seen.own_time,
        stays.death_time
    from prediction_stays as stays
    left join seen on stays.stay_id = seen.stay_id
    where len(stays.cohorts) > 0
)

select
    subject_id,
    hadm_id,
    stay_id,
    index_time,
    excluded_by,
    case when excluded_by is null then own_time end as event_time,
    death_time
from judged
order by stay_id
