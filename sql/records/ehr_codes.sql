-- Codes: one row per EHR record and distinct diagnosis code (grouped, as in admission_diagnoses) or drug.
--
-- Diagnoses are billed after discharge: known_time is the discharge, and the flag says so. A drug is known from the
-- start of its first order, in MIMIC-III, which has the day alone, once that day is over; an order without a start
-- counts as known at discharge.
-- Drugs are MAIN orders. Their names are folded to the ingredient: lower case, without what stands in brackets,
-- strengths, volumes, forms, routes and trailing salts; the salts of electrolytes (potassium chloride) are the
-- ingredient and stay.
with diagnoses as (
    select
        records.subject_id,
        records.hadm_id,
        diagnoses.code,
        diagnoses.icd_version,
        records.discharge_time as known_time
    from admission_diagnoses as diagnoses
    inner join ehr_records as records on diagnoses.database = records.database and diagnoses.hadm_id = records.hadm_id
),

prescriptions as (
    select
        'mimic_iv' as database,
        hadm_id,
        drug_type,
        drug,
        starttime as known_time
    from mimic_iv__prescriptions
    union all
    select
        'mimic_iii' as database,
        hadm_id,
        drug_type,
        drug,
        date_trunc('day', startdate) + interval 1 day as known_time
    from mimic_iii__prescriptions
    union all
    select
        'mimic_iii_carevue' as database,
        hadm_id,
        drug_type,
        drug,
        date_trunc('day', startdate) + interval 1 day as known_time
    from mimic_iii_carevue__prescriptions
),

orders as (
    select
        records.subject_id,
        records.hadm_id,
        lower(orders.drug) as entered,
        coalesce(orders.known_time, records.discharge_time) as known_time
    from prescriptions as orders
    inner join ehr_records as records on orders.database = records.database and orders.hadm_id = records.hadm_id
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
                    || '|disintegrating|cvl|picc|mdi|diskus'
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
                || '|mesylate|besylate|citrate|acetate|phosphate|bromide|chloride|sodium|na|potassium|calcium'
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
