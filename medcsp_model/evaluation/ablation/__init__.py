"""The ablation (paper, Figure 7): the recipe, its parts taken away, and its repairs undone one at a time.

    variants    the settings of each variant, and the weight that keeps its L_D as heavy
    measures    what a number is: a function of values and of how often each row was drawn
    bench       searches and agreement, on subjects that no training saw, in a corpus or in a planted world
    films       zero-shot classification of an evaluation set, as Figure 7 has it
    trials      trains and measures one variant with one seed, kept by content
    report      means, intervals over seeds and subjects, paired differences

`medcsp_model.ablate` is the command; `benchmarks/quality` uses the same variants and measures.
"""
