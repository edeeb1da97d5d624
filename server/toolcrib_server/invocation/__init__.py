"""The one way out: every call of every face is checked, limited and recorded here.

From below to above, each room knowing only those before it:

- `rules`: who may call what, and how it is treated. `schemas`: whether arguments and results fit.
  `bodies`: what requests and answers of the chat API say.
- `errands`: one request on its way to a server.
- `records`: what is written down of it. `drift`: whether the server is what the registry says.
- `traffic`: how many requests get through to a server, and what is tried again.
- `results`: what becomes of an answer. `figures`: what calls of models measured.
- `invoker` is the one way out to servers, `models` to models.
"""
