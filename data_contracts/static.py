"""Static features: what is known of an ICU stay's patient when the stay begins, as indicators fitted on training."""

import dataframely as dy

from data_contracts import fields
from data_contracts.base import Contract


class StaticFeatures(Contract):
    """One static feature, by position: what a cell with this index means."""

    table = "static_features"
    layer = "features"
    key = ("feature_index",)

    feature_index = dy.Int32(min=0, description="Position among the features.")
    feature = fields.text("Name, for instance age_years_value_(46.0, 61.0].", nullable=False)
    meaning = fields.text("What a cell with this index says, in words.", nullable=False)
    variable = fields.text("Variable it was made from.", nullable=False)
    category = fields.text("Category of a categorical feature.")
    low = dy.Float64(nullable=True, description="Lower edge of a numeric feature's interval.")
    high = dy.Float64(nullable=True, description="Upper edge, inclusive.")
    low_inclusive = dy.Bool(description="True for the first interval, which holds its lower edge.")
    aliases = dy.List(dy.String(), description="Identical or complementary features that were dropped.")


class EhrStatic(Contract):
    """One non-zero cell of a stay's static features."""

    table = "ehr_static"
    layer = "features"
    sharded = True
    key = ("stay_id", "feature_index")

    subject_id = fields.subject_id()
    hadm_id = fields.hadm_id()
    stay_id = fields.stay_id()
    feature_index = dy.Int32(min=0, description="Position in static_features.")
    value = dy.Float32(description="Value of the cell; 1 for indicators.")
