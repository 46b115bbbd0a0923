-- Every row that a model may read was known before the index time, but for those of an input that declares why not.
-- The index time is computed here from the stay and the admission again.
-- severity: blocking; grain: one failing input; tables: prediction_inputs, ehr_stays, ehr_records, ehr_readings,
-- ehr_codes, ehr_demographics, ehr_notes.
with read as (
    select
        inputs.index_event,
        inputs.stay_id,
        inputs.input,
        inputs.input_stay_id,
        stays.in_time + to_microseconds(cast(round(readings.known_hours * 3.6e9) as bigint)) as known_time
    from prediction_inputs as inputs
    inner join ehr_stays as stays on inputs.input_stay_id = stays.stay_id
    inner join ehr_readings as readings on inputs.input_stay_id = readings.stay_id
    where inputs.input = 'series' and readings.known_hours < inputs.before_hours
    union all
    select
        inputs.index_event,
        inputs.stay_id,
        inputs.input,
        inputs.input_stay_id,
        codes.known_time
    from prediction_inputs as inputs
    inner join ehr_codes as codes on inputs.hadm_id = codes.hadm_id
    where
        inputs.input = case codes.kind when 'drug' then 'drugs' else 'diagnoses' end
        and (inputs.flag is not null or codes.known_time < inputs.index_time)
    union all
    select
        inputs.index_event,
        inputs.stay_id,
        inputs.input,
        inputs.input_stay_id,
        notes.known_time
    from prediction_inputs as inputs
    inner join ehr_notes as notes on inputs.hadm_id = notes.hadm_id
    where inputs.input = 'summary' and inputs.num_rows > 0
    union all
    select
        inputs.index_event,
        inputs.stay_id,
        inputs.input,
        inputs.input_stay_id,
        greatest(records.admit_time, stays.in_time) as known_time
    from prediction_inputs as inputs
    inner join ehr_stays as stays on inputs.input_stay_id = stays.stay_id
    inner join ehr_demographics as demographics on stays.hadm_id = demographics.hadm_id
    inner join ehr_records as records on stays.hadm_id = records.hadm_id
    where inputs.input = 'demographics' and inputs.num_rows > 0
),

known as (
    select
        index_event,
        stay_id,
        input,
        input_stay_id,
        max(known_time) as last_known_time
    from read
    group by index_event, stay_id, input, input_stay_id
)

select
    inputs.index_event,
    inputs.stay_id,
    inputs.input,
    inputs.input_stay_id,
    inputs.flag,
    case cast(inputs.index_event as varchar)
        when 'icu_48h' then own.in_time + interval 48 hours
        when 'discharge' then records.discharge_time
    end as index_time,
    known.last_known_time
from prediction_inputs as inputs
inner join known
    on
        inputs.index_event = known.index_event and inputs.stay_id = known.stay_id and inputs.input = known.input
        and inputs.input_stay_id = known.input_stay_id
left join ehr_stays as own on inputs.stay_id = own.stay_id
left join ehr_records as records on own.hadm_id = records.hadm_id
where
    inputs.index_time is distinct from case cast(inputs.index_event as varchar)
        when 'icu_48h' then own.in_time + interval 48 hours
        when 'discharge' then records.discharge_time
    end
    or (inputs.flag is null and known.last_known_time >= inputs.index_time)
order by inputs.index_event, inputs.stay_id, inputs.input, inputs.input_stay_id
