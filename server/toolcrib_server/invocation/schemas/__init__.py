"""Does it fit? Arguments and results against the JSON Schemas of strangers, at a bounded cost."""
