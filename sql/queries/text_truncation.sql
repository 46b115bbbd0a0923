-- How much text is cut off? One row per source; tokens before truncation, special tokens included.
select
    source,
    count(*) as num_texts,
    median(num_tokens) as median_tokens,
    max(num_tokens) as max_tokens,
    count(*) filter (where is_truncated) as num_truncated,
    count(*) filter (where is_truncated) / count(*) as share_truncated,
    1 - sum(len(token_indices)) / sum(num_tokens) as share_of_tokens_lost
from text_tokens
group by source
order by source
