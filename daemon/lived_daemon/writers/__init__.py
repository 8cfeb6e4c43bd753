"""How a run's tree is written: rendering (pure) for each kind of output, and one way to touch the disk."""
