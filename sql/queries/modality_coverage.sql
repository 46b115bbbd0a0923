-- Which share of the records has each modality? One row per source, database and modality.
with ehr as (
    select
        records.database,
        records.hadm_id in (select hadm_id from ehr_codes where kind = 'diagnosis') as diagnosis,
        records.hadm_id in (select hadm_id from ehr_codes where kind = 'drug') as drug,
        records.hadm_id in (select hadm_id from ehr_demographics) as demographics,
        records.hadm_id in (select hadm_id from ehr_series) as series,
        records.hadm_id in (select hadm_id from ehr_notes) as note
    from ehr_records as records
),

films as (
    select
        records.source,
        records.database,
        images.record_id is not null as image,
        reports.study_id is not null as report
    from cxr_records as records
    left join cxr_images as images on records.source = images.source and records.record_id = images.record_id
    left join cxr_reports as reports on records.source = reports.source and records.study_id = reports.study_id
),

present as (
    unpivot ehr on diagnosis, drug, demographics, series, note into name modality value is_present
),

present_films as (
    unpivot films on image, report into name modality value is_present
),

coverage as (
    select
        'ehr' as source,
        cast(database as varchar) as database,
        modality,
        is_present
    from present
    union all
    select
        source,
        database,
        modality,
        is_present
    from present_films
)

select
    source,
    database,
    modality,
    count(*) as num_records,
    count(*) filter (where is_present) as num_present,
    count(*) filter (where is_present) / count(*) as share
from coverage
group by source, database, modality
order by source, database, modality
