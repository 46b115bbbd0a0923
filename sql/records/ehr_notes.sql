-- Notes: one row per EHR record that has a discharge summary; addenda are left out, and so is every other kind of note:
-- a chest radiograph report is the linked X-ray's own text. Of several the latest dated no later than the day of the
-- discharge counts, else the latest: what is written afterwards must not take the place of what was there, or its
-- absence would tell a prediction at discharge what came later.
--
-- MIMIC-III gives its summaries a day, no number, and marks those entered in error. What is seen when comes from
-- storetime; where there is none, from the time of the note, flagged: a note that has a day alone is seen once that
-- day is over.
with mimic_iii as (
    select
        'mimic_iii' as database,
        hadm_id,
        chartdate,
        charttime,
        storetime,
        category,
        description,
        iserror,
        text
    from mimic_iii__noteevents
    union all
    select
        'mimic_iii_carevue' as database,
        hadm_id,
        chartdate,
        charttime,
        storetime,
        category,
        description,
        iserror,
        text
    from mimic_iii_carevue__noteevents
),

numbered as (
    select
        database,
        hadm_id,
        coalesce(charttime, chartdate) as note_time,
        row_number() over (
            partition by database, hadm_id order by coalesce(charttime, chartdate), storetime, text
        ) as note_seq,
        storetime,
        text
    from mimic_iii
    where
        lower(trim(category)) = 'discharge summary'
        and lower(trim(description)) is distinct from 'addendum'
        and trim(iserror) is distinct from '1'
        and coalesce(charttime, chartdate) is not null
),

summaries as (
    select
        'mimic_iv' as database,
        hadm_id,
        note_id,
        charttime as note_time,
        note_seq,
        storetime,
        text
    from mimic_iv_note__discharge
    where note_type = 'DS'
    union all
    select
        database,
        hadm_id,
        hadm_id || '-DS-' || note_seq as note_id,
        note_time,
        note_seq,
        storetime,
        text
    from numbered
),

ranked as (
    select
        records.subject_id,
        records.hadm_id,
        summaries.note_id,
        summaries.note_time,
        summaries.storetime,
        summaries.text,
        row_number() over (
            partition by records.hadm_id
            order by
                date_trunc('day', summaries.note_time) > date_trunc('day', records.discharge_time),
                summaries.note_time desc, summaries.note_seq desc, summaries.note_id desc
        ) as recency
    from summaries
    inner join ehr_records as records on summaries.database = records.database and summaries.hadm_id = records.hadm_id
)

select
    subject_id,
    hadm_id,
    note_id,
    note_time,
    coalesce(
        storetime,
        if(note_time = date_trunc('day', note_time), note_time + interval 1 day, note_time)
    ) as known_time,
    storetime is null as known_is_assumed,
    text
from ranked
where recency = 1
order by hadm_id
