"""Checks of exercise 2, Autograd (slides 01.05)."""
