"""The LLM variant (paper, Appendix C): a frozen language model reads every modality through one trained projection.

language    the language model and its tokenizer from a local folder, prompts, texts of a corpus in its tokens
model       frozen encoders, the projection, embeddings as means of the last hidden state
trainer     the trainer of `medcsp_model.trainer`, whose state is the projection alone
train       the command
embed       the embedder of `medcsp_model.embed` for it; `medcsp_model.baselines.radiology.ours_llm` is its image-text
            interface
"""
