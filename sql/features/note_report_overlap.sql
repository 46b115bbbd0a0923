-- Overlap of linked texts: one row per cohort, over pairs of a discharge summary and the report of a linked X-ray.
-- Variable: max_pairs; of more pairs a fixed draw is taken. A pair's overlap is the share of the report's distinct runs
-- of eight words that the summary holds too: where it is high, the model can link the two by copying.
with pairs as (
    select distinct
        cohorts.split,
        notes.hadm_id,
        films.study_id
    from same_patient_pairs as links
    inner join ehr_records as records on links.record_id = records.record_id
    inner join cxr_records as films on links.other_source = films.source and links.other_record_id = films.record_id
    inner join cohort_split as cohorts on links.source = cohorts.source and links.record_id = cohorts.record_id
    inner join ehr_notes as notes on records.hadm_id = notes.hadm_id
    inner join cxr_reports as reports on films.study_id = reports.study_id
    where links.source = 'ehr'
),

drawn as (
    select
        split,
        hadm_id,
        study_id
    from pairs
    order by md5(hadm_id || ':' || study_id), hadm_id, study_id
    limit (select cast(getvariable('max_pairs') as bigint))
),

notes as (
    select
        hadm_id,
        ' ' || array_to_string(regexp_extract_all(lower(text), '[a-z0-9_]+'), ' ') || ' ' as folded
    from ehr_notes
    where hadm_id in (select drawn.hadm_id from drawn)
),

reports as (
    select
        study_id,
        regexp_extract_all(lower(text), '[a-z0-9_]+') as words
    from cxr_reports
    where study_id in (select drawn.study_id from drawn)
),

runs as (
    select distinct
        study_id,
        unnest([' ' || array_to_string(words[place:place + 7], ' ') || ' ' for place in range(1, len(words) - 6)])
            as run
    from reports
),

compared as (
    select
        drawn.split,
        drawn.hadm_id,
        drawn.study_id,
        count(*) as num_runs,
        count(*) filter (where contains(notes.folded, runs.run)) as num_shared
    from drawn
    inner join notes on drawn.hadm_id = notes.hadm_id
    inner join runs on drawn.study_id = runs.study_id
    group by drawn.split, drawn.hadm_id, drawn.study_id
)

select
    split,
    count(*) as num_pairs,
    count(*) filter (where num_shared > 0) as num_pairs_with_overlap,
    count(*) filter (where num_shared * 2 >= num_runs) as num_pairs_mostly_shared,
    cast(sum(num_runs) as bigint) as num_runs,
    cast(sum(num_shared) as bigint) as num_shared_runs,
    cast(sum(num_shared) as bigint) / cast(sum(num_runs) as bigint) as share_of_runs,
    quantile_disc(num_shared / num_runs, 0.5) as median_share,
    quantile_disc(num_shared / num_runs, 0.95) as upper_share
from compared
group by split
order by split
