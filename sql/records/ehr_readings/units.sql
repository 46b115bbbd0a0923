-- Factors that bring amounts to mg and ml, and rates to those an hour or to mcg/kg/min: one row per unit as charted,
-- trimmed and in lower case; a unit that is not listed stays as it is.
select
    col0 as unit,
    col1 as factor
from (
    values
    ('g', 1000.0), ('gm', 1000.0), ('gms', 1000.0), ('gram', 1000.0), ('grams', 1000.0), ('mcg', 0.001),
    ('l', 1000.0), ('units/min', 60.0), ('umin', 60.0), ('mg/min', 60.0), ('mgmin', 60.0), ('mcg/min', 0.06),
    ('mcgmin', 0.06), ('mcg/hour', 0.001), ('mcghr', 0.001), ('grams/hour', 1000.0), ('gmhr', 1000.0),
    ('grams/min', 60000.0), ('ml/min', 60.0), ('mlmin', 60.0), ('l/min', 60000.0), ('mg/kg/min', 1000.0),
    ('mgkgmin', 1000.0), ('mg/kg/hour', 1000.0 / 60), ('mgkghr', 1000.0 / 60), ('mcg/kg/hour', 1.0 / 60),
    ('mcgkghr', 1.0 / 60), ('grams/kg/min', 1000000.0)
)
