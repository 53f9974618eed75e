"""Checks of exercise 4a, Optimizers (slides 01.08)."""
