"""One question to one answer, by all that stands below; `answer` says in which order.

The `question`, the `candidates` that are recalled for it, the `likelihoods` that they fit, their
`arrangement`, and the `hit_list` made of it; `state` is what an index holds while it answers.
"""
