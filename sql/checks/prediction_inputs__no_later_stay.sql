-- What is read is of the example's own patient and admission, and of no stay that begins after the example's.
-- severity: blocking; grain: one failing input; tables: prediction_inputs, ehr_stays.
select
    inputs.index_event,
    inputs.stay_id,
    inputs.input,
    inputs.input_stay_id
from prediction_inputs as inputs
left join ehr_stays as own on inputs.stay_id = own.stay_id
left join ehr_stays as read on inputs.input_stay_id = read.stay_id
where
    own.subject_id is distinct from read.subject_id
    or own.subject_id is distinct from inputs.subject_id
    or own.hadm_id is distinct from read.hadm_id
    or read.in_time > own.in_time
order by inputs.index_event, inputs.stay_id, inputs.input, inputs.input_stay_id
