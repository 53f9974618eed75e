"""Checks of exercise 4b: loss functions and the training loop."""
