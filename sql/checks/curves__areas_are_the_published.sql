-- The areas of every curve, drawn as steps, are the AUROC and the average precision that its task published.
-- severity: blocking; grain: one failing area; tables: curves, prediction_arf, prediction_shock, prediction_mortality,
-- prediction_aki, prediction_readmission, zero_shot_covid19, zero_shot_chexpert.
with numbers as (
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
    select * from zero_shot_covid19
    union all by name
    select * from zero_shot_chexpert
),

-- Of several trainings a prediction task gives the mean (seed -1) and each alone, a classification the one it has.
headlines as (
    select
        task,
        dataset,
        cohort,
        mode,
        method,
        split,
        metric,
        value
    from numbers
    where k = 0 and (seed = -1 or task like 'zero_shot%') and metric in ('auroc', 'auprc')
),

areas as (
    unpivot (
        select
            task,
            dataset,
            cohort,
            mode,
            method,
            split,
            1 - avg(false_positive_rate) as auroc,
            avg(precision) as auprc
        from curves
        group by all
    ) on auroc, auprc into name metric value area
)

select
    areas.task,
    areas.cohort,
    areas.mode,
    areas.method,
    areas.metric,
    areas.area,
    headlines.value
from areas
left join headlines
    on
        areas.task = headlines.task
        and areas.dataset = headlines.dataset
        and areas.cohort = headlines.cohort
        and areas.mode = headlines.mode
        and areas.method = headlines.method
        and areas.split = headlines.split
        and areas.metric = headlines.metric
where headlines.value is null or abs(areas.area - headlines.value) > 1e-9
order by all
