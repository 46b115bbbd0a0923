-- Reports: one row per study with a CXR record, the text that the model reads.
-- Variable: report_text, 'full' for the whole report.
select
    reports.subject_id,
    reports.study_id,
    case getvariable('report_text')
        when 'full' then reports.text
        else error('report_text must be full')
    end as text
from mimic_cxr__reports as reports
where reports.study_id in (select records.study_id from cxr_records as records)
order by reports.study_id
