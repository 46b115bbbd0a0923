"""Features: pure functions from records to what a model reads (hourly cells, codes, demographics, images, tokens).

Frames in, frames or arrays out. What reads raw tables is in `pipelines.sources`, what publishes in `pipelines.assets`.
"""
