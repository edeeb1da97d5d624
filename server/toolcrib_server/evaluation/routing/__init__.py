"""How well models are chosen, on outcomes that are known: quality, cost, calibration, the guard."""
