"""Planted records whose truth is known: patients made up of numbers, and what each source sees of them.

world     latent patients over time and noisy views of them as records of two sources
folder    writes a world as a training corpus
"""
