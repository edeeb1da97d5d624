"""One question to one answer, by all that stands below; `answer` says in which order.

The `question`, the `candidates` that are recalled for it, their `arrangement`, and the `hits` that
are made of it; `state` is what an index holds while it answers.
"""
