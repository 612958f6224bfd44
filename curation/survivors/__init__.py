"""Groups of near duplicates: what connects them, and who stays of each.

Base layer: every stage may import it. It builds on `exclusions` (pairs that stand), `references` and `policies`.
"""
