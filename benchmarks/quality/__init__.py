"""The quality study: the real trainer on planted records whose truth is known, arm by arm, seed by seed.

    arms       the recipes that are compared
    study      trains one arm with one seed and measures it on unseen subjects; resumable
    page       the table of docs/results_synthetic.md from the lines that the study wrote

Worlds, variants and measures are those of the ablation (`medcsp_model/evaluation`: planted, ablation).

`python -m benchmarks.quality --out <folder>` runs the study, `python -m benchmarks.quality.page` writes the page.
"""
