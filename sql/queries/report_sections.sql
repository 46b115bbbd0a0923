-- Which section of each report does the model read? One row per source and section.
select
    source,
    section,
    any_value(is_fall_back) as is_fall_back,
    count(*) as num_reports,
    count(*) / sum(count(*)) over (partition by source) as share,
    median(length(text)) as median_characters
from cxr_reports
group by source, section
order by source, section
