import json
import math

import pytest

from medcsp_model.settings import (
    AblationSettings,
    CaseStudySettings,
    LlmSettings,
    RadiologyEvaluation,
    RetrievalSettings,
    Settings,
    SmallModels,
    SweepSettings,
    default,
    demo,
    paper,
)


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
        ({"loss": {"tau": math.nan}}, r"settings\.loss\.tau: expected a finite number, got nan"),
        ({"loss": {"lambda_p": -0.5}}, r"settings\.loss\.lambda_p: must be 0 or more"),
        ({"optimiser": {"clip_norm": -1.0}}, r"settings\.optimiser\.clip_norm: must be 0 or more"),
        ({"optimiser": {"lr": -1e-4}}, r"settings\.optimiser\.lr: must be 0 or more"),
        ({"optimiser": {"steps": -5}}, r"settings\.optimiser\.steps: must be 0 or more"),
        ({"optimiser": {"betas": [0.9, 1.0]}}, r"settings\.optimiser\.betas: must both lie in \[0, 1\)"),
        ({"run": {"seed": -1}}, r"settings\.run\.seed: must be 0 or more"),
        ({"run": {"seed": 2**64}}, r"settings\.run\.seed: must be below 2\^63"),
        ({"model": {"head_dropout": 1.5}}, r"settings\.model\.head_dropout: must lie in \[0, 1\)"),
        ({"model": {"image": {"std": [0.0, 0.2, 0.2]}}}, r"settings\.model\.image\.std: must all be above 0"),
        ({"model": {"text": {"width": 15}}}, r"settings\.model\.text\.width: 15 is no multiple of num_heads, 12"),
        ({"batch": {"sources": "ehr"}}, r"settings\.batch\.sources: expected a list, got 'ehr'"),
        ({"batch": {"size": True}}, r"settings\.batch\.size: expected int"),
        ({"model": {"image": {"mean": [0.5]}}}, r"settings\.model\.image\.mean: expected 3 numbers"),
        ({"model": 3}, r"settings\.model: expected a group"),
        ({"optimiser": {"epochs": 0.0}}, "steps or epochs"),
    ],
)
def test_a_wrong_setting_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        Settings.from_json(change)


@pytest.mark.parametrize(
    ("group", "name", "least", "value"),
    [
        (RetrievalSettings, "batch_size", 1, 0),
        (RetrievalSettings, "num_threads", 0, -1),
        (RadiologyEvaluation, "most_bits", 0, -1),
        (SmallModels, "seed", 0, -1),
        (SweepSettings, "seeds", 0, [0, -1]),
        (SweepSettings, "num_threads", 0, -1),
        (AblationSettings, "steps", 0, -1),
        (CaseStudySettings, "num_threads", 0, -1),
        (LlmSettings, "context_length", 1, 0),
    ],
)
def test_a_number_below_the_least_is_named_in_every_group(group, name, least, value):
    assert group.from_json(group().to_json()) == group()
    with pytest.raises(ValueError, match=rf"settings\.{name}: must be at least {least}, got "):
        group.from_json({name: value})


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


def test_replace_keeps_what_is_not_named_in_groups_within_groups():
    changed = demo().replace(model={"text": {"width": 32}})
    assert (changed.model.text.width, changed.model.text.num_layers) == (32, demo().model.text.num_layers)
    assert changed.replace(model={"text": {"width": 64}}) == demo()
    assert demo().replace(model=paper().to_json()["model"]).model == paper().model
