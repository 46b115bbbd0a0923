-- Further views of the catalogue, for people; each waits until the tables that it reads are published. A view with the
-- name of a table stands before it: the table itself is `tables.<name>`.

-- One row per number of any evaluation, and when it was made.
create view metrics as
select
    m.*,
    p.created_time
from tables.metrics as m
inner join published as p on p.table_name = 'metrics';

-- One row per record of any source: its database, when it was and which cohort it stands in.
create view records as
select
    cohorts.source,
    coalesce(cast(ehr.database as varchar), films.database) as database,
    cohorts.record_id,
    cohorts.subject_id,
    cohorts.study_id,
    cohorts.split,
    coalesce(ehr.record_time, films.record_time) as record_time
from cohort_split as cohorts
left join ehr_records as ehr on cohorts.source = 'ehr' and cohorts.record_id = ehr.record_id
left join cxr_records as films on cohorts.source = films.source and cohorts.record_id = films.record_id;

-- One row per variable of ehr_readings: what was measured, under the name the hospital gave it.
create view variables as
select
    case linksto
        when 'chartevents' then 'chart_'
        when 'inputevents' then 'input_'
        when 'outputevents' then 'output_'
        when 'procedureevents' then 'procedure_'
        when 'datetimeevents' then 'datetime_'
    end || itemid as variable,
    label,
    category,
    unitname as unit
from mimic_iv__d_items
where linksto in ('chartevents', 'inputevents', 'outputevents', 'procedureevents', 'datetimeevents')
union all
select
    'lab_' || itemid as variable,
    label || ' (' || fluid || ')' as label,
    category,
    null as unit
from mimic_iv__d_labitems;
