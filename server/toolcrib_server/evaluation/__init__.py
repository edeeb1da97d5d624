"""How well search answers judged queries: reads sets, searches, measures, compares, reports.

Is given an encoder and folders; knows no store, no server and no terminal.
"""
