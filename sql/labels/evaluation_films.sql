-- Evaluation films: one row per X-ray image that is searched or classified; ages in years.
-- MIMIC-CXR: sex and age of patients that MIMIC-IV knows (anchor_age moved to the year of the film). COVID-19
-- Radiography: class COVID against Normal; origin is the host of the sheet's URL, of github.com and kaggle.com with the
-- collection's name. CheXpert: Enlarged Cardiomediastinum, as in the paper's Table 6.
with films as (
    select
        cohorts.source,
        cohorts.record_id,
        cohorts.subject_id,
        cohorts.study_id,
        cohorts.split,
        records.view_position,
        records.path,
        year(records.record_time) as record_year
    from cohort_split as cohorts
    inner join cxr_records as records
        on cohorts.source = records.source and cohorts.record_id = records.record_id
    where starts_with(cohorts.split, 'retrieval_') or starts_with(cohorts.split, 'zero_shot_')
),

origins as (
    select
        image_id,
        label = 'COVID' as label,
        mask_path,
        regexp_extract(lower(url), '^(?:[a-z]+://)?(?:www\.)?([^/?#]+)', 1) as host,
        regexp_extract(lower(url), '^(?:[a-z]+://)?[^/?#]+/([^/?#]+/[^/?#]+)', 1) as collection
    from covid19__images
),

described as (
    select
        films.source,
        films.record_id,
        films.subject_id,
        films.study_id,
        films.split,
        case
            when upper(films.view_position) in ('AP', 'PA', 'FRONTAL') then 'frontal'
            when upper(films.view_position) in ('LATERAL', 'LL', 'RL') then 'lateral'
        end as view,
        coalesce(
            cast(patients.gender as varchar),
            case cast(chexpert.sex as varchar) when 'Female' then 'F' when 'Male' then 'M' end
        ) as sex,
        case
            when films.source = 'chexpert' then nullif(cast(chexpert.age as integer), 0)
            else cast(patients.anchor_age as integer) + films.record_year - patients.anchor_year
        end as age_years,
        case
            when films.source = 'covid19' then origins.label
            when chexpert.enlarged_cardiomediastinum in (0, 1) then chexpert.enlarged_cardiomediastinum = 1
        end as label,
        case
            when origins.host in ('github.com', 'kaggle.com') and origins.collection != ''
                then origins.host || '/' || origins.collection
            else nullif(origins.host, '')
        end as origin,
        official.split as official_split,
        films.path,
        origins.mask_path
    from films
    left join mimic_iv__patients as patients on films.source = 'cxr' and films.subject_id = patients.subject_id
    left join mimic_cxr_jpg__split as official on films.source = 'cxr' and films.record_id = official.dicom_id
    left join origins on films.source = 'covid19' and films.record_id = origins.image_id
    left join chexpert__images as chexpert on films.source = 'chexpert' and films.record_id = chexpert.image_id
)

select
    source,
    record_id,
    subject_id,
    study_id,
    split,
    view,
    sex,
    case when age_years between 0 and 130 then age_years end as age_years,
    case
        when age_years not between 0 and 130 then null
        when age_years < 45 then 'under_45'
        when age_years < 65 then '45_to_64'
        when age_years < 80 then '65_to_79'
        when age_years >= 80 then '80_and_over'
    end as age_group,
    label,
    origin,
    official_split,
    path,
    mask_path
from described
order by source, record_id
