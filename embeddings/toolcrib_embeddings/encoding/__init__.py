"""Texts to vectors, of whole texts (`encoder`) and of their tokens (`tokens`).

A model on disk is a `model_folder`, with a `delta` or without; `export` makes an ONNX file of it,
found by `exported`. `unencoded` stands in where no model can be had, and `forwarding` before one
that can.
"""
