"""Checks of exercise 6: regression on house prices, and a first generative model."""
