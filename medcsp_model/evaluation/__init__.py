"""Metrics of the evaluation tasks: numpy on plain arrays, no torch, no files."""
