-- Listed images that are no film, because they have no time or their study has no report.
-- severity: warning; grain: one image; tables: mimic_cxr__record_list, mimic_cxr__reports, mimic_cxr_jpg__metadata,
-- mimic_cxr__headers.
select
    images.dicom_id,
    images.study_id,
    reports.study_id is null as is_without_report,
    coalesce(metadata.study_time, headers.study_time) is null as is_without_time
from mimic_cxr__record_list as images
left join mimic_cxr__reports as reports on images.study_id = reports.study_id
left join mimic_cxr_jpg__metadata as metadata on images.dicom_id = metadata.dicom_id
left join mimic_cxr__headers as headers on images.dicom_id = headers.dicom_id
where reports.study_id is null or coalesce(metadata.study_time, headers.study_time) is null
order by images.dicom_id
