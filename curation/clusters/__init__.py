"""k-means inside each class, clusters that people edit, and 2-D maps."""
