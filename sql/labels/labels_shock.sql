-- Shock: one row per stay of a cohort, with the first vasopressor of the stay. Which items are vasopressors is in
-- label_items; dobutamine and milrinone are none. The onset excludes and counts as in labels_arf.
select
    stays.subject_id,
    stays.hadm_id,
    stays.stay_id,
    stays.index_time,
    coalesce(
        stays.excluded_by,
        case
            when events.own_time < stays.index_time then 'onset_before_index'
            when events.first_time < stays.index_time then 'onset_earlier_in_admission'
        end
    ) as excluded_by,
    case
        when stays.excluded_by is null and events.first_time >= stays.index_time then events.own_time
    end as event_time,
    stays.death_time
from prediction_stays as stays
left join label_events as events on stays.stay_id = events.stay_id and events.label = 'shock'
where len(stays.cohorts) > 0
order by stays.stay_id
