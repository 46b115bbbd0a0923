-- How much text is cut off? One row per source and release; tokens before truncation, special tokens included.
with films as (
    select distinct
        source,
        database as name
    from cxr_records
)

select
    tokens.source,
    coalesce(cast(records.database as varchar), films.name) as release,
    count(*) as num_texts,
    median(tokens.num_tokens) as median_tokens,
    max(tokens.num_tokens) as max_tokens,
    count(*) filter (where tokens.is_truncated) as num_truncated,
    count(*) filter (where tokens.is_truncated) / count(*) as share_truncated,
    1 - sum(len(tokens.token_indices)) / sum(tokens.num_tokens) as share_of_tokens_lost
from text_tokens as tokens
left join ehr_records as records on tokens.source = 'ehr' and tokens.text_id = records.record_id
left join films on tokens.source = films.source
group by tokens.source, release
order by tokens.source, release
