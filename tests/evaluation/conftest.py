"""One small planted world and its corpora, shared by the folder."""

import pytest

from medcsp_model.corpus import Corpus
from medcsp_model.evaluation.planted.folder import write_planted
from medcsp_model.evaluation.planted.world import World, WorldSettings, make_world


@pytest.fixture(scope="session")
def settings() -> WorldSettings:
    return WorldSettings(num_patients=150, num_unseen=20)


@pytest.fixture(scope="session")
def world(settings: WorldSettings) -> World:
    return make_world(settings, seed=0)


@pytest.fixture(scope="session")
def corpus(world: World, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return write_planted(world, tmp_path_factory.mktemp("planted") / "corpus")
