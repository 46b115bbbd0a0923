-- Label events: one row per label and stay of a cohort that an item of label_items says something about, with the
-- first event of the stay itself and of anything in its admission, such as an earlier stay. Items of aki are dialysis.
--
-- Rows in error and rewritten orders never count. CareVue notes a pump when it is set up: a row counts where the rate
-- is above zero, or where there is no rate and the amount is. An event without a stay is of the stay it falls into.
with items as (
    select distinct
        label,
        table_name,
        cast(code as bigint) as itemid,
        rule,
        word
    from label_items
    where table_name in ('chartevents', 'procedureevents', 'inputevents', 'inputevents_cv')
),

charted as (
    select
        'mimic_iv' as database,
        subject_id,
        hadm_id,
        stay_id,
        itemid,
        charttime as event_time,
        trim(value) as word,
        coalesce(valuenum, try_cast(trim(value) as double)) as number
    from mimic_iv__chartevents
    where itemid in (select items.itemid from items where items.table_name = 'chartevents')
    union all
    select
        'mimic_iii' as database,
        subject_id,
        hadm_id,
        icustay_id as stay_id,
        itemid,
        charttime as event_time,
        trim(value) as word,
        coalesce(valuenum, try_cast(trim(value) as double)) as number
    from mimic_iii__chartevents
    where error is distinct from 1 and itemid in (select items.itemid from items where items.table_name = 'chartevents')
    union all
    select
        'mimic_iii_carevue' as database,
        subject_id,
        hadm_id,
        icustay_id as stay_id,
        itemid,
        charttime as event_time,
        trim(value) as word,
        coalesce(valuenum, try_cast(trim(value) as double)) as number
    from mimic_iii_carevue__chartevents
    where error is distinct from 1 and itemid in (select items.itemid from items where items.table_name = 'chartevents')
),

started as (
    select
        'mimic_iv' as database,
        subject_id,
        hadm_id,
        stay_id,
        'procedureevents' as table_name,
        itemid,
        starttime as event_time
    from mimic_iv__procedureevents
    where
        trim(statusdescription) is distinct from 'Rewritten'
        and itemid in (select items.itemid from items where items.table_name = 'procedureevents')
    union all
    select
        'mimic_iii' as database,
        subject_id,
        hadm_id,
        icustay_id as stay_id,
        'procedureevents' as table_name,
        itemid,
        starttime as event_time
    from mimic_iii__procedureevents_mv
    where
        trim(statusdescription) is distinct from 'Rewritten'
        and itemid in (select items.itemid from items where items.table_name = 'procedureevents')
    union all
    select
        'mimic_iii_carevue' as database,
        subject_id,
        hadm_id,
        icustay_id as stay_id,
        'procedureevents' as table_name,
        itemid,
        starttime as event_time
    from mimic_iii_carevue__procedureevents_mv
    where
        trim(statusdescription) is distinct from 'Rewritten'
        and itemid in (select items.itemid from items where items.table_name = 'procedureevents')
    union all
    select
        'mimic_iv' as database,
        subject_id,
        hadm_id,
        stay_id,
        'inputevents' as table_name,
        itemid,
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
        'inputevents' as table_name,
        itemid,
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
        'inputevents' as table_name,
        itemid,
        starttime as event_time
    from mimic_iii_carevue__inputevents_mv
    where
        trim(statusdescription) is distinct from 'Rewritten'
        and itemid in (select items.itemid from items where items.table_name = 'inputevents')
),

given as (
    select
        'mimic_iii' as database,
        subject_id,
        hadm_id,
        icustay_id as stay_id,
        itemid,
        charttime as event_time,
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
        charttime as event_time,
        rate,
        amount
    from mimic_iii_carevue__inputevents_cv
    where itemid in (select items.itemid from items where items.table_name = 'inputevents_cv')
),

events as (
    select
        items.label,
        charted.database,
        charted.subject_id,
        charted.hadm_id,
        charted.stay_id,
        charted.event_time
    from charted
    inner join items on charted.itemid = items.itemid and items.table_name = 'chartevents'
    where
        case items.rule
            when 'number' then charted.number is not null
            when 'noted' then charted.word not in ('', 'Other/Remarks')
            when 'word' then charted.word = items.word
        end
    union all
    select
        items.label,
        started.database,
        started.subject_id,
        started.hadm_id,
        started.stay_id,
        started.event_time
    from started
    inner join items on started.itemid = items.itemid and started.table_name = items.table_name
    union all
    select
        items.label,
        given.database,
        given.subject_id,
        given.hadm_id,
        given.stay_id,
        given.event_time
    from given
    inner join items on given.itemid = items.itemid and items.table_name = 'inputevents_cv'
    where
        case items.rule
            when 'given' then given.rate > 0 or (given.rate is null and given.amount > 0)
            when 'given_swapped' then given.amount > 0 or (given.amount is null and given.rate > 0)
        end
)

select
    events.label,
    stays.subject_id,
    stays.hadm_id,
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
where len(stays.cohorts) > 0 and events.event_time is not null
group by events.label, stays.subject_id, stays.hadm_id, stays.stay_id
order by events.label, stays.stay_id
