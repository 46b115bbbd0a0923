-- Hourly features in words: one row per feature of the native and of the shared space.
-- Labels are those of MIMIC-IV's dictionaries, because both spaces are fitted on MIMIC-IV.
with kinds as (
    select
        col0 as kind,
        col1 as linksto
    from (
        values
        ('chart', 'chartevents'), ('input', 'inputevents'), ('amount', 'inputevents'), ('output', 'outputevents'),
        ('procedure', 'procedureevents'), ('datetime', 'datetimeevents')
    )
),

labels as (
    select
        kinds.kind || '_' || items.itemid as variable,
        trim(items.label) as label,
        if(kinds.kind in ('chart', 'amount', 'output'), nullif(trim(items.unitname), 'None'), null) as unit,
        kinds.linksto as source_tables
    from mimic_iv__d_items as items
    inner join kinds on items.linksto = kinds.linksto
    union all
    select
        'lab_' || itemid as variable,
        trim(label) || coalesce(', ' || fluid, '') as label,
        null as unit,
        'labevents' as source_tables
    from mimic_iv__d_labitems
    union all
    select
        'micro_' || spec_itemid as variable,
        max(trim(spec_type_desc)) as label,
        null as unit,
        'microbiologyevents' as source_tables
    from mimic_iv__microbiologyevents
    where spec_itemid is not null
    group by spec_itemid
),

units as (
    select
        variable,
        any_value(unit order by concept) as unit
    from concept_items
    where rule not in ('given', 'noted')
    group by variable
),

concepts as (
    select
        concept,
        any_value(unit) as unit,
        string_agg(distinct split_part(variable, '_', 1), ', ' order by split_part(variable, '_', 1)) as kinds_read
    from concept_items
    group by concept
),

features as (
    select
        'native' as space,
        features.feature_index,
        features.feature,
        features.variable,
        labels.label,
        coalesce(units.unit, labels.unit) as unit,
        features.statistic,
        features.category,
        features.low,
        features.high,
        features.low_inclusive,
        features.is_filled,
        coalesce(labels.source_tables, split_part(features.variable, '_', 1)) as source_tables
    from series_features as features
    left join labels on features.variable = labels.variable
    left join units on features.variable = units.variable
    union all
    select
        'shared' as space,
        features.feature_index,
        features.feature,
        features.variable,
        replace(features.variable, '_', ' ') as label,
        concepts.unit,
        features.statistic,
        features.category,
        features.low,
        features.high,
        features.low_inclusive,
        features.is_filled,
        coalesce(concepts.kinds_read, features.variable) as source_tables
    from shared_series_features as features
    left join concepts on features.variable = concepts.concept
),

shown as (
    select
        space,
        feature_index,
        feature,
        variable,
        label,
        unit,
        cast(statistic as varchar) as statistic,
        is_filled,
        source_tables,
        case
            when statistic = 'mask' then null
            when category is not null then category
            else
                if(low_inclusive, 'from ', 'above ') || round(low, 3) || ' to ' || round(high, 3)
        end as shown
    from features
)

select
    space,
    feature_index,
    feature,
    coalesce(label, variable) || ': ' || case
        when statistic = 'mask' then 'read in this hour'
        when statistic = 'delta_time' then 'hours since the last reading ' || shown
        when statistic = 'value' and is_filled then 'last reading so far ' || shown
        when statistic = 'value' then 'last reading of the hour ' || shown
        else statistic || ' of the hour, or the last reading before it, ' || shown
    end || if(unit is not null and unit not like '1 if %' and statistic not in ('mask', 'delta_time'), ' ' || unit, '')
        as meaning,
    variable,
    label,
    unit,
    statistic,
    shown,
    source_tables
from shown
order by space, feature_index
