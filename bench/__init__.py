"""Figures, measured on the real OpenCode, beside those of the alternatives. `make bench` prints them."""
