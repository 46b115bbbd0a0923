-- A cell shows a feature that is known.
-- severity: blocking; grain: one failing position; tables: ehr_series, series_features.
select
    series.feature_index,
    count(*) as num_cells
from ehr_series as series
left join series_features as features on series.feature_index = features.feature_index
where features.feature_index is null
group by series.feature_index
order by series.feature_index
