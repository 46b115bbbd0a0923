"""Static features: what is known when an ICU stay begins. Not here: how they are made (`pipelines.features`).

Fitted on the stays that hourly features are fitted on, with the same thresholds, and applied to every other stay.
"""

from typing import Any

import polars as pl

from data_contracts import links, records, static
from pipelines.assets.series import fit_stays
from pipelines.assets.step import Build, step
from pipelines.features import static_features as features
from pipelines.profiles import Profile

KNOWN = (records.EhrStays, records.EhrRecords, records.EhrDemographics)


def _settings(profile: Profile) -> dict[str, Any]:
    return {name: profile.group("series")[name] for name in ("theta_1", "theta_2", "fit_on")}


@step(static.StaticFeatures, inputs=[*KNOWN, links.CohortSplit], settings=_settings)
def static_features(build: Build) -> pl.DataFrame:
    """Fit what stays begin with."""
    thresholds = {name: build.settings[name] for name in ("theta_1", "theta_2")}
    return features.fit_static(_values(build), fit_stays(build), features.StaticSettings(**thresholds))


@step(static.EhrStatic, inputs=[*KNOWN, static.StaticFeatures], by_shard=True)
def ehr_static(build: Build) -> pl.LazyFrame:
    """Encode what every stay begins with."""
    return features.encode_static(_values(build), build.frame(static.StaticFeatures))


def _values(build: Build) -> pl.LazyFrame:
    return features.static_values(*(build.scan(contract) for contract in KNOWN))


STEPS = (static_features, ehr_static)
