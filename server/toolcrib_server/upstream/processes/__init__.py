"""Child processes: started below a warden, bounded, heard, and ended without survivors."""
