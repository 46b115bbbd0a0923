"""Features: vocabularies fitted on pre-training subjects, hourly cells, tokens and decoded images."""

import dataframely as dy

from data_contracts import fields
from data_contracts.base import Contract


class DiagnosisVocabulary(Contract):
    """One diagnosis code of the vocabulary, by position."""

    table = "diagnosis_vocabulary"
    layer = "features"
    key = ("code_index",)

    code_index = dy.Int32(min=0, description="Position in the vocabulary.")
    icd_version = dy.Int16(is_in=[9, 10], description="9 or 10.")
    icd_code = fields.text("Code without dot, or its category.", nullable=False)
    num_records = dy.Int64(min=1, description="Pre-training EHR records that hold it.")
    num_subjects = dy.Int64(min=1, description="Pre-training subjects that hold it.")
    title = fields.text("Title from d_icd_diagnoses.")


class DrugVocabulary(Contract):
    """One drug of the vocabulary, by position."""

    table = "drug_vocabulary"
    layer = "features"
    key = ("drug_index",)

    drug_index = dy.Int32(min=0, description="Position in the vocabulary.")
    drug = fields.text("Normalised drug name.", nullable=False)
    num_records = dy.Int64(min=1, description="Pre-training EHR records that hold it.")


class VocabularyCoverage(Contract):
    """How many codes of the records of one database and cohort a vocabulary holds."""

    table = "vocabulary_coverage"
    layer = "features"
    key = ("kind", "database", "split")

    kind = dy.Enum(["diagnosis", "drug"], description="What the codes name.")
    database = fields.database()
    split = fields.split()
    num_records = dy.Int64(min=1, description="EHR records.")
    num_records_without_codes = dy.Int64(min=0, description="Records without any code: the modality is missing.")
    num_records_all_unknown = dy.Int64(min=0, description="Records with codes, none of them in the vocabulary.")
    num_codes = dy.Int64(min=0, description="Distinct codes, summed over records.")
    num_out_of_vocabulary = dy.Int64(min=0, description="Those that the vocabulary does not hold.")
    share_out_of_vocabulary = dy.Float64(nullable=True, min=0, max=1, description="The latter over the former.")


class DemographicsShift(Contract):
    """One of the columns that tell a database from MIMIC-IV best by demographics; aggregate numbers alone.

    The classifier is a logistic regression on the encoded vector of adults, cross-validated by subject. 0.5 means that
    the encoding does not give the database away.
    """

    table = "demographics_shift"
    layer = "features"
    key = ("database", "rank")

    database = fields.database()
    rank = dy.Int32(min=1, description="1 for the column that helps most.")
    encoded_column = fields.text("Column of the encoded vector.", nullable=False)
    weight = dy.Float64(description="Its weight per standard deviation; positive where it speaks for the database.")
    mean = dy.Float64(description="Its mean in the database.")
    mimic_iv_mean = dy.Float64(description="Its mean in MIMIC-IV.")
    auroc = dy.Float64(
        min=0, max=1, description="Of the whole vector, out of fold; the same in all rows of a database."
    )
    num_folds = dy.Int32(min=2, description="Folds, split by subject.")
    num_records = dy.Int64(min=1, description="Records of adults in the database.")
    num_mimic_iv_records = dy.Int64(min=1, description="Records of adults in MIMIC-IV.")


class NoteReportOverlap(Contract):
    """How much of the reports of linked X-rays the discharge summaries of one cohort repeat, in runs of eight words.

    Aggregate numbers alone, over a fixed draw of the pairs.
    """

    table = "note_report_overlap"
    layer = "features"
    key = ("split",)

    split = fields.split()
    num_pairs = dy.Int64(min=1, description="Pairs of a summary and a report of eight words or more, drawn from all.")
    num_pairs_with_overlap = dy.Int64(min=0, description="Pairs that share a run.")
    num_pairs_mostly_shared = dy.Int64(min=0, description="Pairs whose summary holds half the report's runs or more.")
    num_runs = dy.Int64(min=1, description="Distinct runs of the reports, summed over pairs.")
    num_shared_runs = dy.Int64(min=0, description="Those that the summary of the pair holds.")
    share_of_runs = dy.Float64(min=0, max=1, description="The latter over the former.")
    median_share = dy.Float64(min=0, max=1, description="Share of the middle pair.")
    upper_share = dy.Float64(min=0, max=1, description="Share that one pair in twenty exceeds.")


class SeriesVariableCounts(Contract):
    """How often stays of the fit that lie in one shard read one variable; such counts add up."""

    table = "series_variable_counts"
    layer = "features"
    sharded = True
    key = ("shard", "variable")

    shard = fields.shard()
    variable = fields.text("Variable.", nullable=False)
    num_stays = dy.Int64(min=1, description="Stays with a reading of it in the window.")
    num_readings = dy.Int64(min=1, description="Readings.")
    num_texts = dy.Int64(min=0, description="Readings that are no number.")


class SeriesVariables(Contract):
    """One variable that hourly features are made of."""

    table = "series_variables"
    layer = "features"
    key = ("variable",)

    variable = fields.text("Variable.", nullable=False)
    is_frequent = dy.Bool(description="True where it is numeric and read often: it is summarised and filled.")


class SeriesValueCounts(Contract):
    """In how many hours stays of the fit that lie in one shard show one value; such counts add up."""

    table = "series_value_counts"
    layer = "features"
    sharded = True
    key = ("shard", "variable", "statistic", "number", "text")

    shard = fields.shard()
    variable = fields.text("Variable.", nullable=False)
    statistic = fields.statistic()
    number = dy.Float64(nullable=True, description="The value, where it is a number.")
    text = fields.text("The value, where it is none.")
    num_hours = dy.Int64(min=1, description="Hours of stays that show it.")


class SeriesCandidates(Contract):
    """One hourly feature, by position, before rare and equal ones are dropped."""

    table = "series_candidates"
    layer = "features"
    key = ("feature_index",)

    feature_index = dy.Int32(min=0, description="Position among the features.")
    feature = fields.text("Name, for instance chart_220045_value_(73.0, 82.0].", nullable=False)
    variable = fields.text("Variable it was made from.", nullable=False)
    statistic = fields.statistic()
    category = fields.text("Category of a categorical feature.")
    low = dy.Float64(nullable=True, description="Lower edge of a numeric feature's interval.")
    high = dy.Float64(nullable=True, description="Upper edge, inclusive.")
    low_inclusive = dy.Bool(description="True for the first interval, which holds its lower edge.")
    is_filled = dy.Bool(description="True for frequent variables: an hour without reading repeats the last one.")


class SeriesCellCounts(Contract):
    """How many cells of one candidate stays of the fit have that lie in one shard, and which: such counts add up."""

    table = "series_cell_counts"
    layer = "features"
    sharded = True
    key = ("shard", "feature_index")

    shard = fields.shard()
    feature_index = dy.Int32(min=0, description="Position in series_candidates.")
    num_cells = dy.Int64(min=1, description="Cells: hours of stays with a one.")
    num_stays = dy.Int64(min=1, description="Stays with a cell.")
    num_full = dy.Int64(min=0, description="Stays with a cell in every hour.")
    lane_0 = dy.UInt64(description="Sum of the cells' hashes modulo 2^64: equal for features with equal cells.")
    lane_1 = dy.UInt64(description="The same with another hash.")


class SeriesFeatures(SeriesCandidates):
    """One hourly feature, by position: what a cell with this index means."""

    table = "series_features"

    aliases = dy.List(dy.String(), description="Identical or complementary features that were dropped.")


class EhrSeries(Contract):
    """One non-zero cell of a stay's hourly features."""

    table = "ehr_series"
    layer = "features"
    sharded = True
    key = ("subject_id", "stay_id", "bin", "feature_index")

    subject_id = fields.subject_id()
    hadm_id = fields.hadm_id()
    stay_id = fields.stay_id()
    bin = dy.Int16(min=0, description="Hour of the stay, right-open.")
    feature_index = dy.Int32(min=0, description="Position in series_features.")
    value = dy.Float32(description="Value of the cell; 1 for indicators.")


class SharedSeriesVariableCounts(SeriesVariableCounts):
    """How often stays of the fit that lie in one shard read one concept; such counts add up."""

    table = "shared_series_variable_counts"


class SharedSeriesVariables(SeriesVariables):
    """One concept that hourly features of the shared space are made of."""

    table = "shared_series_variables"


class SharedSeriesValueCounts(SeriesValueCounts):
    """In how many hours stays of the fit in one shard show one value of a concept; such counts add up."""

    table = "shared_series_value_counts"


class SharedSeriesCandidates(SeriesCandidates):
    """One hourly feature of the shared space, by position, before rare and equal ones are dropped."""

    table = "shared_series_candidates"


class SharedSeriesCellCounts(SeriesCellCounts):
    """How many cells of one candidate of the shared space stays of the fit in one shard have, and which."""

    table = "shared_series_cell_counts"


class SharedSeriesFeatures(SeriesFeatures):
    """One hourly feature of the shared space, by position: what a cell with this index means."""

    table = "shared_series_features"


class EhrSharedSeries(EhrSeries):
    """One non-zero cell of a stay's hourly features in the shared space."""

    table = "ehr_shared_series"


class FeatureDictionary(Contract):
    """One hourly feature of either space in words."""

    table = "feature_dictionary"
    layer = "features"
    key = ("space", "feature_index")

    space = dy.Enum(["native", "shared"], description="native: series_features; shared: shared_series_features.")
    feature_index = dy.Int32(min=0, description="Position among the features of its space.")
    feature = fields.text("Name.", nullable=False)
    meaning = fields.text("What a cell with this index says, in words.", nullable=False)
    variable = fields.text("Variable or concept.", nullable=False)
    label = fields.text("Name of the variable in the hospital's dictionary, or the concept in words.")
    unit = fields.text("Unit of the variable's numbers, where it is known.")
    statistic = fields.text("What of the hour's readings it shows.", nullable=False)
    shown = fields.text("Interval or category; null for masks.")
    source_tables = fields.text("Tables the readings come from.", nullable=False)


class ConceptCoverage(Contract):
    """How many stays of one clinical system have a value of one concept of the shared space."""

    table = "concept_coverage"
    layer = "features"
    key = ("concept", "system")

    concept = fields.text("Concept.", nullable=False)
    system = fields.text("Clinical system of the stays.", nullable=False)
    unit = fields.text("Unit of the concept.", nullable=False)
    num_variables = dy.Int64(min=0, description="Variables of this system that stand for it.")
    num_stays = dy.Int64(min=1, description="Stays of the system.")
    num_stays_with_value = dy.Int64(min=0, description="Those with at least one reading of it in the window.")
    share_of_stays = dy.Float64(min=0, max=1, description="The latter over the former.")


class TokenizerVocabulary(Contract):
    """One WordPiece token, by position."""

    table = "tokenizer_vocabulary"
    layer = "features"
    key = ("token_index",)

    token_index = dy.Int32(min=0, description="Position in the vocabulary.")
    token = dy.String(min_length=1, description="Word piece; continuations begin with ##.")


class TextTokens(Contract):
    """One text as tokens, truncated to the model's context."""

    table = "text_tokens"
    layer = "features"
    sharded = True
    key = ("source", "text_id")

    source = fields.source()
    text_id = fields.text("hadm_id as text (ehr), study_id as text (images).", nullable=False)
    subject_id = fields.subject_id()
    num_tokens = dy.Int32(min=0, description="Tokens before truncation, special tokens included.")
    is_truncated = dy.Bool(description="True where tokens were cut off.")
    token_indices = dy.List(dy.Int32(min=0), description="Positions in tokenizer_vocabulary.")


class CxrImages(Contract):
    """One decoded image: 224 x 224 grey pixels in the image store, found by their digest."""

    table = "cxr_images"
    layer = "features"
    key = ("source", "record_id")

    source = fields.source()
    record_id = fields.record_id()
    subject_id = fields.subject_id()
    study_id = fields.study_id()
    file_sha256 = fields.sha256("Digest of the file, known once it has been read.")
    photometric = fields.text("Photometric interpretation of the file.", nullable=False)
    height_pixels = dy.Int32(min=1, description="Height of the file's image in pixels.")
    width_pixels = dy.Int32(min=1, description="Width of the file's image in pixels.")
    mean_intensity = dy.Float64(min=0, max=255, description="Mean of the stored pixels.")
    pixel_sha256 = fields.sha256("Digest of the stored pixels; the key of the image store.")
