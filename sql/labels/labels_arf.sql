-- Acute respiratory failure: one row per stay of a cohort, with the first PEEP setting or ventilation, invasive or
-- not, of the stay. Which rows say so is in label_items.
--
-- The onset excludes where it is before the index time, before the unit included: of the stay's own rows
-- (onset_before_index), or of anything else in the admission, such as an earlier stay (onset_earlier_in_admission).
-- At the index time it is an event.
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
left join label_events as events on stays.stay_id = events.stay_id and events.label = 'arf'
where len(stays.cohorts) > 0
order by stays.stay_id
