"""Every file format of this field, each a reader and a writer."""
