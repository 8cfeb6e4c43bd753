"""The places inside of wandb that frameworks import from."""
