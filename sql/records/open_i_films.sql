-- Films of Open-I: one row per image whose file is there and whose report has a text; the release has no dates.
-- Variable: first_id, which is added to the report's number: no other release has such subjects or studies.
select
    'open_i' as source,
    'open_i' as database,
    images.image_id as record_id,
    texts.subject_id,
    texts.study_id,
    cast(null as timestamp) as record_time,
    cast(images.projection as varchar) as view_position,
    images.path
from open_i__images as images
inner join open_i_texts as texts on texts.study_id = getvariable('first_id') + images.uid
where images.path is not null
order by images.image_id
