"""What training leaves behind: the curve of a checkpoint and the embeddings of records."""

import dataframely as dy

from data_contracts import fields
from data_contracts.base import Contract


class _Checkpoint(Contract):
    """One logged step of a training."""

    layer = "checkpoint"
    key = ("step",)

    step = dy.Int64(min=0, description="Optimiser steps done.")
    epoch = dy.Float64(min=0, description="Passes over the images.")
    loss = dy.Float64(description="L_A + lambda_P L_P + lambda_D L_D.")
    loss_a = dy.Float64(description="Modalities agree with their record.")
    loss_p = dy.Float64(description="Records of a patient agree across sources.")
    loss_d = dy.Float64(description="Records agree as diagnosis histories do.")
    learning_rate = dy.Float64(min=0, description="Learning rate of the first group.")
    grad_norm = dy.Float64(min=0, description="Gradient norm before clipping.")
    num_linked = dy.Float64(min=0, description="Linked pairs in a batch, mean since the last line.")
    logit_a_positive = dy.Float64(nullable=True, description="Mean logit of a modality and its own record.")
    logit_a_negative = dy.Float64(nullable=True, description="Mean logit of a modality and other records.")
    logit_p_positive = dy.Float64(nullable=True, description="Mean logit of linked records.")
    logit_p_negative = dy.Float64(nullable=True, description="Mean logit of linked records and other patients'.")
    logit_d_positive = dy.Float64(nullable=True, description="Mean logit of records with a diagnosis in common.")
    logit_d_negative = dy.Float64(nullable=True, description="Mean logit of records without one in common.")
    recall_at_10 = dy.Float64(
        nullable=True,
        min=0,
        max=1,
        description="Text to image on validation subjects, mean over sources.",
    )
    model_sha256 = fields.sha256("Digest of the finished weights; the same in every row.")


class PretrainCheckpoint(_Checkpoint):
    """One logged step of the training that made the current checkpoint."""

    table = "pretrain_checkpoint"


class PretrainCheckpointShared(_Checkpoint):
    """One logged step of the same training in the shared feature space; empty where no cohort needs it."""

    table = "pretrain_checkpoint_shared"


class PretrainLlm(_Checkpoint):
    """One logged step of the training of the projection into a language model (Appendix C); empty without one."""

    table = "pretrain_llm"


class RecordEmbeddings(Contract):
    """One record's embedding under the current checkpoint."""

    table = "record_embeddings"
    layer = "evaluation"
    key = ("source", "record_id")

    source = fields.source()
    record_id = fields.record_id()
    subject_id = fields.subject_id()
    split = fields.split()
    embedding = dy.List(dy.Float32(), description="Unit vector.")
