"""``Run``, where wandb has it."""

from lived.wandb.wandb_run import Run

__all__ = ["Run"]
