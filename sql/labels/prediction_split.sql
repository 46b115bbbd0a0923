-- Prediction split: one row per subject of any evaluation cohort, the same part for every task and cohort.
-- Hashes of "seed:id" draw the part and, apart from it, the fold; the hold-out of pre-training has a draw of its own.
-- Variables: split_seed, validation_share, test_share, num_folds.
with subjects as (
    select distinct subject_id
    from prediction_stays
    where len(cohorts) > 0
),

drawn as (
    select
        subject_id,
        id_share('prediction split ' || getvariable('split_seed'), subject_id) as split_draw,
        id_share('prediction fold ' || getvariable('split_seed'), subject_id) as fold_draw
    from subjects
)

select
    subject_id,
    case
        when split_draw < getvariable('test_share') then 'test'
        when split_draw < getvariable('test_share') + getvariable('validation_share') then 'validation'
        else 'train'
    end as split,
    cast(floor(fold_draw * getvariable('num_folds')) as integer) as fold
from drawn
order by subject_id
