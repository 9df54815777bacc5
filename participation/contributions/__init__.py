"""What people write, and how others answer it."""
