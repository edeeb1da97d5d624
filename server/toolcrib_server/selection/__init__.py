"""Which tool, which model: ranks, filters and explains. Never leaves the process."""
