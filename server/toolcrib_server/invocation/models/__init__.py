"""Calls of models; `invoker` is the door, and has one way for every face.

`picking` says which offers may answer an `order`; each has its turn, with the key's money set
aside (`turns`, `spending`), and the next one its own where it fails (`fallback`).
"""
