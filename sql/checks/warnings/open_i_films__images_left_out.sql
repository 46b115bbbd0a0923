-- Named images that are no film, because their file is not there or their report says nothing.
-- severity: warning; grain: one image; tables: open_i__images, open_i_films.
select
    images.image_id,
    images.uid,
    images.path is null as is_without_file
from open_i__images as images
where images.image_id not in (select films.record_id from open_i_films as films)
order by images.image_id
