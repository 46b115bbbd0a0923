-- Pairs: one row per EHR record and film of one subject within theta_days of each other, inclusive; in days. Films
-- without a time have none.
-- Variables: theta_days; gap_from, 'interval': from the study to the nearest moment between admission and discharge,
-- 0 in between; or 'record_time': between the two record times. Films are of MIMIC-IV's subjects, or of nobody's.
with gaps as (
    select
        ehr.record_id,
        films.source as other_source,
        films.record_id as other_record_id,
        ehr.subject_id,
        case getvariable('gap_from')
            when 'interval'
                then greatest(
                    date_diff('microsecond', films.record_time, ehr.admit_time),
                    date_diff('microsecond', ehr.discharge_time, films.record_time),
                    0
                )
            when 'record_time' then abs(date_diff('microsecond', ehr.record_time, films.record_time))
            else error('gap_from must be interval or record_time')
        end as gap_microseconds
    from ehr_records as ehr
    inner join cxr_records as films on ehr.subject_id = films.subject_id
    where ehr.database = 'mimic_iv' and films.record_time is not null
)

select
    'ehr' as source,
    record_id,
    other_source,
    other_record_id,
    subject_id,
    gap_microseconds / 8.64e10 as gap_days
from gaps
where gap_microseconds <= cast(getvariable('theta_days') * 86400000000 as bigint)
order by record_id, other_source, other_record_id
