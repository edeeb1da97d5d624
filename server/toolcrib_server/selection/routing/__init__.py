"""What answers a query well: predicts each model's quality, guards the domain, weighs, chooses.

Numbers in, numbers and reasons out: knows query vectors and outcomes, no store and no network.
"""
