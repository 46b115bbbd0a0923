"""The quality study: the real trainer on planted records whose truth is known, arm by arm, seed by seed.

    world      latent patients and what each source sees of them; the truth, kept aside
    folder     writes a world as training corpora
    arms       the recipes that are compared
    study      trains one arm with one seed and measures it on unseen subjects; resumable
    page       the table of docs/results_synthetic.md from the lines that the study wrote

`python -m benchmarks.quality --out <folder>` runs the study, `python -m benchmarks.quality.page` writes the page.
"""
