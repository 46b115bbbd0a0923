-- Coverage of the shared space: one row per concept and clinical system, with the share of its stays that have a value.
-- Stays that both systems of MIMIC-III charted have the variables of either.
with present as (
    select distinct
        stay_id,
        variable
    from ehr_shared_readings
),

systems as (
    select
        system,
        count(*) as num_stays
    from ehr_stays
    group by system
),

concepts as (
    select
        concept,
        any_value(unit) as unit
    from concept_items
    group by concept
),

items as (
    select
        concept,
        system,
        count(*) as num_variables
    from concept_items
    group by concept, system
    union all
    select
        concept,
        'both' as system,
        count(distinct variable) as num_variables
    from concept_items
    where system in ('carevue', 'metavision')
    group by concept
),

values_of as (
    select
        present.variable as concept,
        stays.system,
        count(*) as num_stays_with_value
    from present
    inner join ehr_stays as stays on present.stay_id = stays.stay_id
    group by present.variable, stays.system
)

select
    concepts.concept,
    systems.system,
    concepts.unit,
    coalesce(items.num_variables, 0) as num_variables,
    systems.num_stays,
    coalesce(values_of.num_stays_with_value, 0) as num_stays_with_value,
    coalesce(values_of.num_stays_with_value, 0) / systems.num_stays as share_of_stays
from concepts
cross join systems
left join items on concepts.concept = items.concept and systems.system = items.system
left join values_of on concepts.concept = values_of.concept and systems.system = values_of.system
order by concepts.concept, systems.system
