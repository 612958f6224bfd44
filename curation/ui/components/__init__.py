"""Parts of a screen that pages share: gallery, pair viewer, points map. Custom Components v2 with their own scripts."""
