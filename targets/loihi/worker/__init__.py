"""What runs in Lava's own environment: numpy and lava-nc are all it needs, on Python 3.10 or newer. It travels with every artifact."""
