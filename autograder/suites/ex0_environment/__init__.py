"""Checks of exercise 0, the Python environment (slides 01.02)."""
