"""Small model first: a check of each answer decides whether a larger one is asked (FrugalGPT)."""
