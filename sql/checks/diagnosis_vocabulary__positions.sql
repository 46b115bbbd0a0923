-- The vocabulary holds at least one entry, and its positions run from 0 without a gap.
-- An empty one means that no record has diagnosis codes: lower diagnosis_min_records, or look at the inputs.
-- severity: blocking; grain: one row if it fails; tables: diagnosis_vocabulary.
select
    count(*) as num_entries,
    max(code_index) as last_position
from diagnosis_vocabulary
having count(*) = 0 or max(code_index) != count(*) - 1
