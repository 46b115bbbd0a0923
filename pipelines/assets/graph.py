"""Every step of the graph by the name of its table, in an order in which each comes after its inputs."""

from pipelines.assets import (
    ablation,
    case_studies,
    corpora,
    curves,
    evaluation,
    evaluation_sets,
    features,
    labels,
    links,
    llm,
    prediction,
    predictions,
    radiology,
    records,
    retrieval_examples,
    static,
    tables,
    training,
)
from pipelines.assets import report as report_layer
from pipelines.assets.step import Step


def _in_order(steps: tuple[Step, ...]) -> dict[str, Step]:
    waiting = {step.name: step for step in steps}
    ordered: dict[str, Step] = {}
    while waiting:
        ready = [name for name, step in waiting.items() if all(table in ordered for table in step.inputs)]
        assert ready, f"steps wait for each other or for a table that no step makes: {sorted(waiting)}"
        ordered.update({name: waiting.pop(name) for name in ready})
    return ordered


STEPS = _in_order(
    (
        *tables.STEPS,
        *records.STEPS,
        *links.STEPS,
        *features.STEPS,
        *static.STEPS,
        *labels.STEPS,
        *prediction.STEPS,
        *corpora.STEPS,
        *evaluation_sets.STEPS,
        *training.STEPS,
        *predictions.STEPS,
        *radiology.STEPS,
        *curves.STEPS,
        *retrieval_examples.STEPS,
        *llm.STEPS,
        *ablation.STEPS,
        *case_studies.STEPS,
        *evaluation.STEPS,
        *report_layer.STEPS,
    )
)
CPU_STEPS = {name: step for name, step in STEPS.items() if not step.on_device}
DEVICE_STEPS = {name: step for name, step in STEPS.items() if step.on_device}
