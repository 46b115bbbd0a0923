"""The training corpus: a folder of flat arrays, written by the pipelines and read by the model (numpy and json only).

What lives here: the format (this page), its checked reader and its writer. What does not: how tables become arrays
(pipelines) and how arrays become tensors (`medcsp_model.collate`). Every array is one `.npy` file, little endian, C
order, no pickle:

    corpus.json                      schema_version, name, synthetic, splits, sources, history_size, links, counts,
                                     settings, inputs, fingerprint (sha256 of the content; see `CorpusWriter.finish`)
    <source>/record_id.npy           S64      (n,) ascending and unique: positions in this order are the record index
    <source>/subject_id.npy          int64    (n,)
    <source>/study_id.npy            int64    (n,) records of one study are siblings (for EHR the admission id)
    <source>/time_days.npy           float64  (n,) days since 1970-01-01; NaN where the source has no dates
    <source>/split.npy               uint8    (n,) index into `splits`
    <source>/history/                codes of the subject's diagnosis history, `history_size` wide; empty row = none
    <source>/<modality>/             by kind, below; `sources.<source>.modalities.<modality>` holds kind and sizes
        codes    indptr int64 (n+1,), indices int32: multi-hot over `size`; empty row = missing
        dense    values float32 (n, size), present bool (n,)
        text     row int64 (n,), the record's text or -1; offsets int64 (texts+1,); tokens int32 below `size`
        image    shard int32 (n,), row int32 (n,), -1 = missing; shards/00000.npy ... uint8 (m, size, size), grey
        series   stay_indptr int64 (n+1,) at most `max_stays` stays a record; cell_indptr int64 (stays+1,);
                 bin uint8 below `num_bins`, feature int32 below `size`, value float32; no cell = missing, and no
                 two cells of a stay have the same bin and feature
    links/<s>__<t>/                  s int32, t int32 (record indices), gap_days float32: same subject, inside the
                                     window, sorted by (s, t); only for sources that can share subjects

Beside the corpus of an evaluation set lies what is known of its films (`medcsp_model.corpus.films`).
"""

from medcsp_model.corpus.films import Films, write_films
from medcsp_model.corpus.reader import (
    KIND_ARRAYS,
    KINDS,
    Codes,
    Corpus,
    CorpusError,
    Dense,
    Image,
    Links,
    Modality,
    Series,
    Source,
    Text,
    ragged,
)
from medcsp_model.corpus.writer import CorpusWriter

__all__ = [
    "KINDS",
    "KIND_ARRAYS",
    "Codes",
    "Corpus",
    "CorpusError",
    "CorpusWriter",
    "Dense",
    "Films",
    "Image",
    "Links",
    "Modality",
    "Series",
    "Source",
    "Text",
    "ragged",
    "write_films",
]
