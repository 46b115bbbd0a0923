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

cxr as (
    select
        records.dicom_id in (select dicom_id from cxr_images) as image,
        records.study_id in (select study_id from cxr_reports) as report
    from cxr_records as records
),

present as (
    unpivot ehr on diagnosis, drug, demographics, series, note into name modality value is_present
),

present_cxr as (
    unpivot cxr on image, report into name modality value is_present
),

coverage as (
    select
        'ehr' as source,
        database,
        modality,
        is_present
    from present
    union all
    select
        'cxr' as source,
        null as database,
        modality,
        is_present
    from present_cxr
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
