import json

import pytest

from medcsp_model.settings import Settings, default, demo, paper


@pytest.mark.parametrize("recipe", [paper, default, demo])
def test_settings_survive_json(recipe):
    assert Settings.from_json(json.loads(json.dumps(recipe().to_json()))) == recipe()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss": {"lamda_p": 0.5}}, r"settings\.loss: unknown key 'lamda_p'"),
        ({"losses": {}}, r"settings: unknown key 'losses'"),
        ({"loss": {"centroid": "half"}}, r"settings\.loss\.centroid: 'half' is none of"),
        ({"loss": {"tau": "hot"}}, r"settings\.loss\.tau: expected float, got 'hot'"),
        ({"loss": {"tau": 0.0}}, r"settings\.loss\.tau: must be above 0"),
        ({"batch": {"share": 1.5}}, r"settings\.batch\.share"),
        ({"batch": {"size": True}}, r"settings\.batch\.size: expected int"),
        ({"model": {"image": {"mean": [0.5]}}}, r"settings\.model\.image\.mean: expected 3 numbers"),
        ({"model": 3}, r"settings\.model: expected a group"),
        ({"optimiser": {"epochs": 0.0}}, "steps or epochs"),
    ],
)
def test_a_wrong_setting_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        Settings.from_json(change)


def test_paper_states_the_published_numbers():
    recipe = paper()
    assert (recipe.optimiser.epochs, recipe.optimiser.lr, recipe.optimiser.tower_lr) == (10, 1e-5, 1e-5)
    assert (recipe.loss.tau, recipe.loss.lambda_p, recipe.loss.lambda_d) == (0.1, 0.5, 0.2)
    assert (recipe.batch.size, recipe.batch.plan, recipe.model.embed_dim) == (128, "random", 512)


def test_replace_changes_one_switch():
    changed = paper().replace(loss={"centroid": "leave_one_out"})
    assert changed.loss.centroid == "leave_one_out"
    assert changed.replace(loss={"centroid": "full"}) == paper()
    with pytest.raises(ValueError, match="unknown key 'lost'"):
        paper().replace(lost={})
