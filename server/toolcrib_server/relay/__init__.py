"""Serves an upstream server to clients as it is, whichever era either side speaks."""
