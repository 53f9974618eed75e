"""Checks of exercise 5: reading handwritten digits."""
