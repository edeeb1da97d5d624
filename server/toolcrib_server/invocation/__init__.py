"""The one way out: every call of every face is permitted, checked, limited and recorded here."""
