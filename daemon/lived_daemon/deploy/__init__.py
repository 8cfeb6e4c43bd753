"""What `lived serve` is run with as a service: a unit for systemd, made for this installation."""
