-- Which section of each report does the model read? One row per section.
select
    section,
    any_value(is_fall_back) as is_fall_back,
    count(*) as num_reports,
    count(*) / sum(count(*)) over () as share,
    median(length(text)) as median_characters
from cxr_reports
group by section
order by section
