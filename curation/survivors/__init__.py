"""Groups of near duplicates: what connects them, and who stays of each."""
