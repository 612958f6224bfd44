"""The workbench for people who make image-classification benchmarks."""

__version__ = "0.1.0"
