"""Recipes that turn a table of images into named splits."""
