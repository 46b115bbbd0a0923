-- A history holds positions of the vocabulary, ascending, each once, and as many as it says.
-- severity: blocking; grain: one failing record; tables: diagnosis_histories, diagnosis_vocabulary.
select
    source,
    record_id,
    num_codes,
    code_indices
from diagnosis_histories
where
    len(code_indices) != num_codes
    or code_indices != list_sort(list_distinct(code_indices))
    or list_max(code_indices) >= (select count(*) from diagnosis_vocabulary)
order by source, record_id
