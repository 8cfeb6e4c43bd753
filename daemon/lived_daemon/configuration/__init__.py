"""Where settings come from: flags, the environment, ``lived.yaml``; and what becomes of it when the file changes."""
