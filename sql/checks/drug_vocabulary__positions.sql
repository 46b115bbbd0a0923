-- The vocabulary holds at least one entry, and its positions run from 0 without a gap.
-- An empty one means that no record has drugs: lower drug_min_records, or look at the inputs.
-- severity: blocking; grain: one row if it fails; tables: drug_vocabulary.
select
    count(*) as num_entries,
    max(drug_index) as last_position
from drug_vocabulary
having count(*) = 0 or max(drug_index) != count(*) - 1
