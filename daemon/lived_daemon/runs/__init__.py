"""What a run is: its state (pure), who writes it, and which run has which directory."""
