"""``RunDisabled``, where wandb has it."""

from lived.wandb.wandb_run import RunDisabled

__all__ = ["RunDisabled"]
