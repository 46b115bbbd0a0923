-- Texts of Open-I: one row per report that says anything, its sections under their headers, empty ones left out.
-- Variable: first_id, which is added to the report's number: no other release has such subjects or studies.
with texts as (
    select
        uid,
        concat_ws(
            chr(10),
            'INDICATION: ' || nullif(trim(indication), ''),
            'COMPARISON: ' || nullif(trim(comparison), ''),
            'FINDINGS: ' || nullif(trim(findings), ''),
            'IMPRESSION: ' || nullif(trim(impression), '')
        ) as text
    from open_i__reports
)

select
    getvariable('first_id') + uid as subject_id,
    getvariable('first_id') + uid as study_id,
    text
from texts
where text != ''
order by study_id
