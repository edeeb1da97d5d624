"""What the bodies of the chat API say: what a `request` needs, what an `answer` holds."""
