-- Metrics: one row per number of any evaluation; values are shares, except where the metric says otherwise.
-- The tables have one contract of columns, so they are taken as they are, by name.
with evaluations as (
    select * from retrieval_mimic_cxr
    union all by name
    select * from retrieval_open_i
    union all by name
    select * from zero_shot_covid19
    union all by name
    select * from zero_shot_chexpert
    union all by name
    select * from prediction_arf
    union all by name
    select * from prediction_shock
    union all by name
    select * from prediction_mortality
    union all by name
    select * from prediction_aki
    union all by name
    select * from prediction_readmission
    union all by name
    select * from ablation
    union all by name
    select * from case_studies
)

select
    task,
    dataset,
    cohort,
    method,
    mode,
    metric,
    k,
    split,
    seed,
    value,
    ci_low,
    ci_high,
    n,
    num_positive,
    paper_value,
    fingerprint,
    synthetic
from evaluations
order by task, dataset, cohort, method, mode, metric, k, split, seed
