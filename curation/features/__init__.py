"""Backbones and extraction: one feature vector for every usable picture."""
