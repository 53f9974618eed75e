"""Checks of exercise 1, Tensors (slides 01.04)."""
