"""Views: which tools each of them has now, how it shows them, and whether it can be served."""
