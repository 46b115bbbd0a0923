-- Prediction inputs: one row per index event, example, input and ICU stay that it is of: what may be read to predict.
-- Hours from the beginning of that stay.
--
-- Inputs are those that the tasks of the index event declare. Series and demographics are those of the stay and of the
-- stays before it in the admission, never of later ones; what belongs to the admission stands under the stay itself. A
-- row counts if it was known before the index time; exactly then is not yet known. Two inputs are known later and say
-- so: diagnoses are coded after the discharge, and a summary is stored after it, but counts only if it is dated no
-- later than the day of the discharge, so that nothing in it is younger.
with wanted as (
    select
        index_event,
        unnest(inputs) as input,
        nullif(unnest(flags), '') as flag
    from prediction_tasks
),

examples as (
    select distinct
        index_event,
        subject_id,
        hadm_id,
        stay_id,
        index_time
    from prediction_labels
),

asked as (
    select distinct
        examples.index_event,
        examples.subject_id,
        examples.hadm_id,
        examples.stay_id,
        examples.index_time,
        own.stay_index,
        own.in_time,
        wanted.input,
        wanted.flag
    from examples
    inner join wanted on examples.index_event = wanted.index_event
    inner join ehr_stays as own on examples.stay_id = own.stay_id
),

of_stays as (
    select
        asked.index_event,
        asked.stay_id,
        asked.index_time,
        asked.input,
        stays.stay_id as input_stay_id,
        stays.in_time as input_in_time,
        date_diff('microsecond', stays.in_time, asked.index_time) / 3.6e9 as before_hours
    from asked
    inner join ehr_stays as stays on asked.hadm_id = stays.hadm_id and asked.stay_index >= stays.stay_index
    where asked.input in ('series', 'demographics')
),

windows as (
    select distinct
        input_stay_id,
        before_hours
    from of_stays
    where input = 'series'
),

series as (
    select
        windows.input_stay_id,
        windows.before_hours,
        count(*) filter (where readings.known_hours < windows.before_hours) as num_rows,
        count(*) filter (where readings.known_hours >= windows.before_hours) as num_late_rows,
        max(readings.known_hours) filter (where readings.known_hours < windows.before_hours) as last_known_hours
    from windows
    inner join ehr_readings as readings on windows.input_stay_id = readings.stay_id
    group by windows.input_stay_id, windows.before_hours
),

described as (
    select
        records.hadm_id,
        greatest(records.admit_time, records.first_icu_time) as known_time
    from ehr_records as records
    inner join ehr_demographics as demographics on records.hadm_id = demographics.hadm_id
),

admission_rows as (
    select
        hadm_id,
        'summary' as input,
        known_time,
        date_trunc('day', note_time) as dated
    from ehr_notes
    union all
    select
        hadm_id,
        case kind when 'drug' then 'drugs' else 'diagnoses' end as input,
        known_time,
        cast(null as timestamp) as dated
    from ehr_codes
),

of_admissions as (
    select
        asked.index_event,
        asked.stay_id,
        asked.input,
        case
            when asked.flag is null then found.known_time < asked.index_time
            else coalesce(found.dated <= date_trunc('day', asked.index_time), true)
        end as is_allowed,
        found.known_time
    from asked
    inner join admission_rows as found on asked.hadm_id = found.hadm_id and asked.input = found.input
),

counted as (
    select
        index_event,
        stay_id,
        input,
        stay_id as input_stay_id,
        count(*) filter (where is_allowed) as num_rows,
        count(*) filter (where not is_allowed) as num_late_rows,
        max(known_time) filter (where is_allowed) as last_known_time
    from of_admissions
    group by index_event, stay_id, input
    union all
    select
        of_stays.index_event,
        of_stays.stay_id,
        of_stays.input,
        of_stays.input_stay_id,
        series.num_rows,
        series.num_late_rows,
        of_stays.input_in_time + to_microseconds(cast(round(series.last_known_hours * 3.6e9) as bigint))
            as last_known_time
    from of_stays
    inner join series on of_stays.input_stay_id = series.input_stay_id and of_stays.before_hours = series.before_hours
    where of_stays.input = 'series'
    union all
    select
        of_stays.index_event,
        of_stays.stay_id,
        of_stays.input,
        of_stays.input_stay_id,
        if(greatest(described.known_time, of_stays.input_in_time) < of_stays.index_time, 1, 0) as num_rows,
        if(greatest(described.known_time, of_stays.input_in_time) < of_stays.index_time, 0, 1) as num_late_rows,
        case
            when greatest(described.known_time, of_stays.input_in_time) < of_stays.index_time
                then greatest(described.known_time, of_stays.input_in_time)
        end as last_known_time
    from of_stays
    inner join asked
        on
            of_stays.index_event = asked.index_event and of_stays.stay_id = asked.stay_id
            and of_stays.input = asked.input
    inner join described on asked.hadm_id = described.hadm_id
    where of_stays.input = 'demographics'
),

places as (
    select
        index_event,
        stay_id,
        input,
        input_stay_id,
        before_hours
    from of_stays
    union all
    select
        index_event,
        stay_id,
        input,
        stay_id as input_stay_id,
        date_diff('microsecond', in_time, index_time) / 3.6e9 as before_hours
    from asked
    where input not in ('series', 'demographics')
)

select
    asked.index_event,
    asked.subject_id,
    asked.hadm_id,
    asked.stay_id,
    asked.index_time,
    asked.input,
    places.input_stay_id,
    places.before_hours,
    asked.flag,
    coalesce(counted.num_rows, 0) as num_rows,
    coalesce(counted.num_late_rows, 0) as num_late_rows,
    counted.last_known_time
from asked
inner join places
    on asked.index_event = places.index_event and asked.stay_id = places.stay_id and asked.input = places.input
left join counted
    on
        places.index_event = counted.index_event and places.stay_id = counted.stay_id and places.input = counted.input
        and places.input_stay_id = counted.input_stay_id
order by asked.index_event, asked.stay_id, asked.input, places.input_stay_id
