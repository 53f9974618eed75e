"""Checks of exercise 3, SimpleNN (slides 01.06)."""
