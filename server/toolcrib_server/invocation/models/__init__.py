"""Calls of models; `invoker` is the door, and has one way for every face.

`picking` says which offers may answer an `order` (`objectives`, `fitting`). `asking` goes through
them: each has its turn, with the key's money set aside (`turns`, `spending`), and where it fails
the next one has its own (`fallback`).
"""
