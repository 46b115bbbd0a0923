-- A cell shows a feature that is known.
-- severity: blocking; grain: one failing position; tables: ehr_static, static_features.
select
    cells.feature_index,
    count(*) as num_cells
from ehr_static as cells
left join static_features as features on cells.feature_index = features.feature_index
where features.feature_index is null
group by cells.feature_index
order by cells.feature_index
