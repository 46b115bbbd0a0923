-- Codes: one row per EHR record and distinct diagnosis code or drug.
-- Variable: diagnosis_grouping, 'raw' codes or their 'category' (3 characters; 4 for the external causes of ICD-9).
--
-- Diagnoses are billed after discharge: known_time is the discharge, and the flag says so. A drug is known from the
-- start of its first order; an order without a start counts as known at discharge.
-- Drugs are MAIN orders. Their names are folded to the ingredient: lower case, without what stands in brackets,
-- strengths, volumes, forms, routes and trailing salts; the salts of electrolytes (potassium chloride) are the
-- ingredient and stay.
with diagnoses as (
    select distinct
        records.subject_id,
        records.hadm_id,
        case getvariable('diagnosis_grouping')
            when 'raw' then codes.icd_code
            when 'category'
                then left(codes.icd_code, if(codes.icd_version = 9 and codes.icd_code like 'E%', 4, 3))
            else error('diagnosis_grouping must be raw or category')
        end as code,
        codes.icd_version,
        records.discharge_time as known_time
    from mimic_iv__diagnoses_icd as codes
    inner join ehr_records as records on codes.hadm_id = records.hadm_id
),

orders as (
    select
        records.subject_id,
        records.hadm_id,
        lower(orders.drug) as entered,
        coalesce(orders.starttime, records.discharge_time) as known_time
    from mimic_iv__prescriptions as orders
    inner join ehr_records as records on orders.hadm_id = records.hadm_id
    where orders.drug_type = 'MAIN' and orders.drug is not null
),

names as (
    select distinct entered
    from orders
),

without_strengths as (
    select
        entered,
        regexp_replace(
            regexp_replace(
                regexp_replace(entered, '\([^)]*\)?|\*+nf\*+|_+', ' ', 'g'),
                '(^|[\s/])\.?\d[\d.,]*\s*(%|(mcg|mg|gm|g|kg|ml|l|units?|meq|mmol|hr|hour)\b)?', '\1', 'g'
            ),
            '[^a-z-]+', ' ', 'g'
        ) as name
    from names
),

without_forms as (
    select
        entered,
        trim(
            regexp_replace(
                regexp_replace(
                    name,
                    '\b(iv|po|im|sc|ng|oral|nasal|rectal|ophth|topical'
                    || '|extended|immediate|delayed|release|xl|xr|er|sr|cr|ec|dr|odt|enteric|coated|chewable'
                    || '|tablets?|tabs?|capsules?|caps?|solution|soln|sol|suspension|susp|syrup|elixir|liquid'
                    || '|injection|inj|infusion|drip|flush|dwell|nebs?|inhaler|inhalation|powder|patch|spray|drops'
                    || '|cream|ointment|oint|gel|jelly|lotion|suppository|enema|bag|vial|syringe'
                    || '|mcg|mg|g|ml|l|meq|mmol|units?|hr'
                    || '|replacement|desensitization|iso-osmotic|preservative|free|mini|plus)\b',
                    ' ', 'g'
                ),
                '\s+', ' ', 'g'
            )
        ) as name
    from without_strengths
),

ingredients as (
    select
        entered,
        case
            when regexp_matches(name, '^(sodium|potassium|calcium|magnesium|zinc|ferrous|ammonium|lithium|aluminum) ')
                then name
            else regexp_replace(
                name,
                '( (hydrochloride|hcl|hydrobromide|sulfate|sulphate|tartrate|bitartrate|succinate|fumarate|maleate'
                || '|mesylate|besylate|citrate|acetate|phosphate|bromide|chloride|sodium|potassium|calcium'
                || '|magnesium|gluconate|nitrate|lactate|tosylate|disodium))+$',
                ''
            )
        end as name
    from without_forms
),

drugs as (
    select
        orders.subject_id,
        orders.hadm_id,
        coalesce(nullif(ingredients.name, ''), trim(orders.entered)) as code,
        min(orders.known_time) as known_time
    from orders
    inner join ingredients on orders.entered = ingredients.entered
    group by orders.subject_id, orders.hadm_id, code
),

codes as (
    select
        subject_id,
        hadm_id,
        'diagnosis' as kind,
        code,
        icd_version,
        known_time,
        true as coded_after_discharge
    from diagnoses
    union all
    select
        subject_id,
        hadm_id,
        'drug' as kind,
        code,
        0 as icd_version,
        known_time,
        false as coded_after_discharge
    from drugs
)

select
    subject_id,
    hadm_id,
    kind,
    code,
    cast(icd_version as smallint) as icd_version,
    known_time,
    coded_after_discharge
from codes
order by hadm_id, kind, code, icd_version
