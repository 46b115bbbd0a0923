-- Films of MIMIC-CXR: one row per chest X-ray image that has a report and a time; all views.
-- The time is StudyDate and StudyTime, from the metadata of the JPG release, else from the DICOM header.
select
    'cxr' as source,
    'mimic_cxr' as database,
    images.dicom_id as record_id,
    images.subject_id,
    images.study_id,
    coalesce(metadata.study_time, headers.study_time) as record_time,
    coalesce(metadata.view_position, headers.view_position) as view_position,
    images.path
from mimic_cxr__record_list as images
inner join mimic_cxr__reports as reports on images.study_id = reports.study_id
left join mimic_cxr_jpg__metadata as metadata on images.dicom_id = metadata.dicom_id
left join mimic_cxr__headers as headers on images.dicom_id = headers.dicom_id
where coalesce(metadata.study_time, headers.study_time) is not null
order by images.dicom_id
