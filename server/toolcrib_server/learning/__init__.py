"""Learning from use: outcomes are recorded, replayed, and used when the replay shows gain.

Is given a store and an encoder; knows no face, no upstream and no index that serves.
"""
