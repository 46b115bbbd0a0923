-- Prediction stays: one row per ICU stay of an EHR record, the cohorts it stands in, and what excludes it 48 h after
-- its beginning, the first reason alone: not among the stays that are kept, under 18 or of unknown age, dead before
-- that time, out of the unit before it (or nobody knows when). Dead or gone exactly then is in time.
-- Variable: index_hours, from the beginning of the stay to the time of the prediction.
--
-- Cohorts: metavision has MIMIC-III's MetaVision stays, whose admissions MIMIC-IV holds under other ids; carevue those
-- of the CareVue subset, which MIMIC-IV does not hold; carevue_filtered the CareVue stays of plain MIMIC-III of
-- subjects without any other stay (some may be in MIMIC-IV); ehr_holdout the MIMIC-IV subjects out of pre-training.
with stays as (
    select
        'mimic_iv' as database,
        'mimic_iv' as system,
        hadm_id,
        stay_id,
        intime,
        outtime
    from mimic_iv__icustays
    union all
    select
        'mimic_iii' as database,
        dbsource as system,
        hadm_id,
        icustay_id as stay_id,
        intime,
        outtime
    from mimic_iii__icustays
    union all
    select
        'mimic_iii_carevue' as database,
        dbsource as system,
        hadm_id,
        icustay_id as stay_id,
        intime,
        outtime
    from mimic_iii_carevue__icustays
),

with_other_systems as (
    select distinct subject_id
    from mimic_iii__icustays
    where dbsource != 'carevue'
),

held_out as (
    select distinct subject_id
    from cohort_split
    where split = 'ehr_holdout' and source = 'ehr'
),

described as (
    select
        admissions.database,
        stays.system,
        admissions.subject_id,
        admissions.hadm_id,
        stays.stay_id,
        row_number() over (partition by admissions.hadm_id order by stays.intime, stays.stay_id) - 1 as stay_index,
        kept.stay_id is not null as is_kept,
        admissions.admit_time,
        stays.intime as in_time,
        stays.outtime as out_time,
        stays.intime + to_hours(getvariable('index_hours')) as index_time,
        admissions.discharge_time,
        coalesce(admissions.died_in_hospital, admissions.death_time is not null) as is_death_in_hospital,
        case
            when coalesce(admissions.died_in_hospital, admissions.death_time is not null)
                then coalesce(admissions.death_time, admissions.discharge_time)
        end as death_time,
        admissions.age_years,
        admissions.is_in_carevue_subset,
        held_out.subject_id is not null as is_held_out,
        with_other_systems.subject_id is not null as has_other_systems
    from stays
    inner join ehr_admissions as admissions
        on stays.database = admissions.database and stays.hadm_id = admissions.hadm_id
    left join ehr_stays as kept on stays.stay_id = kept.stay_id and stays.database = kept.database
    left join held_out on admissions.subject_id = held_out.subject_id and admissions.database = 'mimic_iv'
    left join with_other_systems
        on admissions.subject_id = with_other_systems.subject_id and admissions.database = 'mimic_iii'
),

judged as (
    select
        stay_id,
        [
            if(database = 'mimic_iii' and system = 'metavision', 'metavision', null),
            if(database != 'mimic_iv' and system = 'carevue', 'carevue', null),
            if(database = 'mimic_iii' and system = 'carevue', 'carevue_filtered', null),
            if(database = 'mimic_iv', 'ehr_holdout', null)
        ] as candidate_of,
        [
            if(database = 'mimic_iii' and system = 'metavision', 'metavision', null),
            if(database != 'mimic_iv' and system = 'carevue' and is_in_carevue_subset, 'carevue', null),
            if(database = 'mimic_iii' and system = 'carevue' and not has_other_systems, 'carevue_filtered', null),
            if(database = 'mimic_iv' and is_held_out, 'ehr_holdout', null)
        ] as cohorts,
        case
            when not is_kept then 'beyond_max_stays'
            when coalesce(age_years, 0) < 18 then 'under_18'
            when death_time < index_time then 'dead_before_index'
            when coalesce(out_time < index_time, true) then 'left_before_index'
        end as excluded_by
    from described
)

select
    described.database,
    described.system,
    described.subject_id,
    described.hadm_id,
    described.stay_id,
    cast(described.stay_index as integer) as stay_index,
    described.is_kept,
    described.admit_time,
    described.in_time,
    described.out_time,
    described.index_time,
    described.discharge_time,
    described.is_death_in_hospital,
    described.death_time,
    described.age_years,
    list_filter(judged.candidate_of, lambda cohort: cohort is not null) as candidate_of,
    list_filter(judged.cohorts, lambda cohort: cohort is not null) as cohorts,
    judged.excluded_by
from described
inner join judged on described.stay_id = judged.stay_id
order by described.stay_id
