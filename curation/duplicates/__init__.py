"""Pairs of pictures that may show the same: measures that find them, the rule that weighs them, people's verdicts."""
