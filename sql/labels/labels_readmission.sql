-- Readmission: one row per stay of a cohort; the last kept stay of an admission stands for it, all others are excluded.
-- The event is the first later admission with an ICU stay (event_time), which compares across databases, or of any kind
-- (any_event_time) where the database holds them: MIMIC-III holds hardly any without. An admission that begins at the
-- discharge or before it is a transfer and none. The index time is the discharge.
--
-- Excluded are patients under 18 and those who died in hospital. death_time is the death after it, by its day: a death
-- before any readmission competes with it.
with dead as (
    select
        'mimic_iv' as database,
        subject_id,
        cast(dod as timestamp) as death_day
    from mimic_iv__patients
    union all
    select
        'mimic_iii' as database,
        subject_id,
        date_trunc('day', dod) as death_day
    from mimic_iii__patients
    union all
    select
        'mimic_iii_carevue' as database,
        subject_id,
        date_trunc('day', dod) as death_day
    from mimic_iii_carevue__patients
),

members as (
    select
        database,
        subject_id,
        hadm_id,
        stay_id,
        discharge_time,
        case
            when not is_kept then 'beyond_max_stays'
            when stay_index < max(stay_index) filter (where is_kept) over (partition by hadm_id) then 'not_last_stay'
            when coalesce(age_years, 0) < 18 then 'under_18'
            when is_death_in_hospital then 'died_in_hospital'
        end as excluded_by
    from prediction_stays
    where len(cohorts) > 0
),

to_icu as (
    select
        members.stay_id,
        min(later.admit_time) as event_time
    from members
    inner join ehr_records as later
        on
            members.database = later.database and members.subject_id = later.subject_id
            and members.discharge_time < later.admit_time
    group by members.stay_id
),

of_any_kind as (
    select
        members.stay_id,
        min(later.admit_time) as any_event_time
    from members
    inner join ehr_admissions as later
        on
            members.database = later.database and members.subject_id = later.subject_id
            and members.discharge_time < later.admit_time
    where members.database = 'mimic_iv'
    group by members.stay_id
),

judged as (
    select
        members.database,
        members.subject_id,
        members.hadm_id,
        members.stay_id,
        members.discharge_time,
        members.excluded_by,
        to_icu.event_time,
        of_any_kind.any_event_time,
        case when dead.death_day >= date_trunc('day', members.discharge_time) then dead.death_day end as death_time
    from members
    left join to_icu on members.stay_id = to_icu.stay_id
    left join of_any_kind on members.stay_id = of_any_kind.stay_id
    left join dead on members.database = dead.database and members.subject_id = dead.subject_id
)

select
    subject_id,
    hadm_id,
    stay_id,
    discharge_time as index_time,
    excluded_by,
    case when excluded_by is null then event_time end as event_time,
    case when excluded_by is null then death_time end as death_time,
    case when excluded_by is null then any_event_time end as any_event_time,
    database = 'mimic_iv' as holds_all_admissions
from judged
order by stay_id
