"""One population in one compiled program: its steps, members, devices and outcome."""
