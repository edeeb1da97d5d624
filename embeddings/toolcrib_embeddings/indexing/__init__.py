"""What is searched: vectors (`index`), words (`lexical`), token vectors (`token_table`).

The `roster` says which entry stands in which row; `snapshots` keep it all on disk.
"""
