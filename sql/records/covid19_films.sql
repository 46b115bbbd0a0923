-- Films of the COVID-19 Radiography Database: one row per image of the two classes that are told apart.
-- The release names no patients and has no dates and no views.
-- Variable: first_id, to which the image's place among them is added: no other release has such subjects or studies.
select
    'covid19' as source,
    'covid19' as database,
    image_id as record_id,
    getvariable('first_id') + row_number() over (order by image_id) as subject_id,
    getvariable('first_id') + row_number() over (order by image_id) as study_id,
    cast(null as timestamp) as record_time,
    cast(null as varchar) as view_position,
    path
from covid19__images
where label in ('COVID', 'Normal')
order by image_id
