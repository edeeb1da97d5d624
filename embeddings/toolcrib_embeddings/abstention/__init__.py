"""Whether anything fits: `signals` of a search, a `calibration` of them, joined in `judging`.

Scales are learned from the registry itself (`probes`), thresholds from questions that people
confirmed (`confirmation`).
"""
