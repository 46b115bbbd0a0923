-- Acute kidney injury by creatinine (KDIGO): one row per stay of a cohort, with the first result of the stay, at the
-- index time or later, that is 0.3 mg/dL above the lowest of the 48 h before it, or 1.5 times the lowest of the 7 days
-- before it; results from before the unit are among these. Decimals, because 1.4 - 1.1 is less than 0.3 in floats.
--
-- Injury excludes where it was there before: in the stay (onset_before_index), or before it, since the admission and at
-- least in the 7 days before the stay. Also excluded: dialysis in the admission before the index time or a code for
-- end-stage kidney disease (billed after discharge, used for nothing else), and stays whose creatinine nobody measured
-- in the 7 days before the index time or, in the unit, after it.
with items as (
    select distinct cast(code as bigint) as itemid
    from label_items
    where label = 'aki' and table_name = 'labevents'
),

members as (
    select
        database,
        subject_id,
        hadm_id,
        stay_id,
        admit_time,
        in_time,
        out_time,
        index_time,
        death_time,
        excluded_by
    from prediction_stays
    where len(cohorts) > 0
),

measured as (
    select
        'mimic_iv' as database,
        subject_id,
        charttime,
        cast(valuenum as decimal(9, 3)) as creatinine
    from mimic_iv__labevents
    where
        itemid in (select items.itemid from items)
        and valuenum between 0.05 and 100
    union all
    select
        'mimic_iii' as database,
        subject_id,
        charttime,
        cast(valuenum as decimal(9, 3)) as creatinine
    from mimic_iii__labevents
    where
        itemid in (select items.itemid from items)
        and valuenum between 0.05 and 100
    union all
    select
        'mimic_iii_carevue' as database,
        subject_id,
        charttime,
        cast(valuenum as decimal(9, 3)) as creatinine
    from mimic_iii_carevue__labevents
    where
        itemid in (select items.itemid from items)
        and valuenum between 0.05 and 100
),

compared as (
    select
        database,
        subject_id,
        charttime,
        creatinine,
        min(creatinine) over (
            partition by database, subject_id order by charttime
            range between interval 48 hours preceding and interval 1 microsecond preceding
        ) as lowest_of_2_days,
        min(creatinine) over (
            partition by database, subject_id order by charttime
            range between interval 7 days preceding and interval 1 microsecond preceding
        ) as lowest_of_7_days
    from measured
    where charttime is not null and subject_id in (select members.subject_id from members)
),

results as (
    select
        database,
        subject_id,
        charttime,
        coalesce(creatinine >= lowest_of_2_days + 0.3 or creatinine >= lowest_of_7_days * 1.5, false) as is_injury
    from compared
),

creatinines as (
    select
        members.stay_id,
        min(results.charttime) filter (where results.is_injury) as first_injury,
        min(results.charttime) filter (where results.is_injury and results.charttime >= members.in_time) as own_injury,
        coalesce(bool_or(
            results.charttime >= members.index_time - interval 7 days and results.charttime < members.index_time
        ), false) as is_measured_before,
        coalesce(bool_or(results.charttime >= members.index_time), false) as is_measured_after
    from members
    left join results
        on
            members.database = results.database and members.subject_id = results.subject_id
            and members.out_time >= results.charttime
            and least(members.admit_time, members.in_time - interval 7 days) <= results.charttime
    group by members.stay_id
),

diagnoses as (
    select
        'mimic_iv' as database,
        hadm_id,
        icd_code as code,
        'icd' || icd_version as rule
    from mimic_iv__diagnoses_icd
    union all
    select
        'mimic_iii' as database,
        hadm_id,
        trim(icd9_code) as code,
        'icd9' as rule
    from mimic_iii__diagnoses_icd
    union all
    select
        'mimic_iii_carevue' as database,
        hadm_id,
        trim(icd9_code) as code,
        'icd9' as rule
    from mimic_iii_carevue__diagnoses_icd
),

end_stage as (
    select distinct
        diagnoses.database,
        diagnoses.hadm_id
    from diagnoses
    inner join label_items
        on
            diagnoses.code = label_items.code and diagnoses.rule = label_items.rule
            and label_items.table_name = 'diagnoses_icd' and label_items.label = 'aki'
),

failures as (
    select members.stay_id
    from members
    inner join label_events on members.stay_id = label_events.stay_id and label_events.label = 'aki'
    where label_events.first_time < members.index_time
    union
    select members.stay_id
    from members
    inner join end_stage on members.database = end_stage.database and members.hadm_id = end_stage.hadm_id
),

judged as (
    select
        members.subject_id,
        members.hadm_id,
        members.stay_id,
        members.index_time,
        coalesce(
            members.excluded_by,
            case
                when creatinines.own_injury < members.index_time then 'onset_before_index'
                when creatinines.first_injury < members.index_time then 'onset_earlier_in_admission'
                when failures.stay_id is not null then 'kidney_failure_known'
                when not creatinines.is_measured_before then 'no_creatinine_before_index'
                when not creatinines.is_measured_after then 'no_creatinine_after_index'
            end
        ) as excluded_by,
        creatinines.own_injury,
        members.death_time
    from members
    inner join creatinines on members.stay_id = creatinines.stay_id
    left join failures on members.stay_id = failures.stay_id
)

select
    subject_id,
    hadm_id,
    stay_id,
    index_time,
    excluded_by,
    case when excluded_by is null then own_injury end as event_time,
    death_time
from judged
order by stay_id
