"""The registry: what exists, and how it changed. The floor that every other room stands on."""
