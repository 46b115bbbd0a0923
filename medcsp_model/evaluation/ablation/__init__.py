"""The ablation (paper, Figure 7): the recipe, its parts taken away, and its repairs undone one at a time.

    variants    the settings of each variant, and the weight that keeps its L_D as heavy
    bench       the measures, on subjects that no training saw, in a corpus or in a planted world
    trials      trains and measures one variant with one seed, kept by content
    report      means, intervals over seeds and subjects, paired differences

`medcsp_model.ablate` is the command; `benchmarks/quality` uses the same variants and measures.
"""
