-- Who are the patients of each database? One row per database, column and value, with its share of the records.
with described as (
    select
        records.database,
        demographics.gender::varchar as gender,
        demographics.race_group::varchar as race_group,
        demographics.insurance_group::varchar as insurance_group,
        demographics.admission_group::varchar as admission_group,
        demographics.care_unit_group::varchar as care_unit_group,
        case
            when demographics.age_years is null then 'unknown'
            when demographics.age_years < 18 then '0-17'
            when demographics.age_years < 45 then '18-44'
            when demographics.age_years < 65 then '45-64'
            when demographics.age_years < 80 then '65-79'
            else '80 and over'
        end as age_years
    from ehr_demographics as demographics
    inner join ehr_records as records on demographics.hadm_id = records.hadm_id
),

named as (
    unpivot described
    on gender, race_group, insurance_group, admission_group, care_unit_group, age_years
    into name demographic value category
)

select
    database,
    demographic,
    category,
    count(*) as num_records,
    count(*) / sum(count(*)) over (partition by database, demographic) as share
from named
group by database, demographic, category
order by database, demographic, category
