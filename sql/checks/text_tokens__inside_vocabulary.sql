-- A token is a position of the vocabulary.
-- severity: blocking; grain: one failing text; tables: text_tokens, tokenizer_vocabulary.
select
    source,
    text_id,
    list_max(token_indices) as largest_token
from text_tokens
where list_max(token_indices) >= (select count(*) from tokenizer_vocabulary)
order by source, text_id
