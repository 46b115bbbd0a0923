"""One small planted world and its corpora, shared by the folder."""

import pytest

from benchmarks.quality.folder import write_corpora
from benchmarks.quality.world import World, WorldSettings, make_world
from medcsp_model.corpus import Corpus


@pytest.fixture(scope="session")
def settings() -> WorldSettings:
    return WorldSettings(num_patients=150, num_unseen=20)


@pytest.fixture(scope="session")
def world(settings: WorldSettings) -> World:
    return make_world(settings, seed=0)


@pytest.fixture(scope="session")
def corpora(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Corpus]:
    return write_corpora(world, tmp_path_factory.mktemp("planted"))
