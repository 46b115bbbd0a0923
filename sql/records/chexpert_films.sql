-- Films of CheXpert: one row per image of the validation part whose place is known; the release has no dates.
-- Variable: first_id, which is added to the patient's number: no other release has such subjects or studies.
select
    'chexpert' as source,
    'chexpert' as database,
    image_id as record_id,
    getvariable('first_id') + patient_id as subject_id,
    getvariable('first_id') + 100 * patient_id + study as study_id,
    cast(null as timestamp) as record_time,
    coalesce(ap_pa, cast(frontal_lateral as varchar)) as view_position,
    path
from chexpert__images
where split = 'valid' and path is not null
order by image_id
