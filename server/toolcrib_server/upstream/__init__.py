"""Live links to upstream servers: how they are described, opened, kept warm and talked to."""
