"""Pictures in: readers of folder layouts, safe decoding, fingerprints, thumbnails, names of classes."""
