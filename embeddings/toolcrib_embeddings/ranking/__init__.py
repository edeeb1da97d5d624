"""Candidates to one ranking: `fusion`, the second stage (`rerank`), and what an answer shows of it.

Near-duplicates stand under the best of them (`structure`), needed tools beside (`companions`).
"""
