-- Acute respiratory failure: one row per stay of a cohort, with the first PEEP setting or ventilation, invasive or
-- not, of the stay. Which rows say so is in label_items.
--
-- The onset excludes where it is before the index time, before the unit included: of the stay's own rows
-- (onset_before_index), or of anything else in the admission, such as an earlier stay (onset_earlier_in_admission).
-- At the index time it is an event. Rows in error and rewritten orders never count.
with items as (
    select distinct
        table_name,
        cast(code as bigint) as itemid,
        rule,
        word
    from label_items
    where label = 'arf'
),

charted as (
    select
        'mimic_iv' as database,
        subject_id,
        hadm_id,
        stay_id,
        itemid,
        charttime,
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
        charttime,
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
        charttime,
        trim(value) as word,
        coalesce(valuenum, try_cast(trim(value) as double)) as number
    from mimic_iii_carevue__chartevents
    where error is distinct from 1 and itemid in (select items.itemid from items where items.table_name = 'chartevents')
),

procedures as (
    select
        'mimic_iv' as database,
        subject_id,
        hadm_id,
        stay_id,
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
        starttime as event_time
    from mimic_iii_carevue__procedureevents_mv
    where
        trim(statusdescription) is distinct from 'Rewritten'
        and itemid in (select items.itemid from items where items.table_name = 'procedureevents')
),

events as (
    select
        charted.database,
        charted.subject_id,
        charted.hadm_id,
        charted.stay_id,
        charted.charttime as event_time
    from charted
    inner join items on charted.itemid = items.itemid and items.table_name = 'chartevents'
    where
        charted.charttime is not null
        and case items.rule
            when 'number' then charted.number is not null
            when 'noted' then charted.word not in ('', 'Other/Remarks')
            when 'word' then charted.word = items.word
        end
    union all
    select
        database,
        subject_id,
        hadm_id,
        stay_id,
        event_time
    from procedures
    where event_time is not null
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
