"""What people do on the platform, and what becomes of it."""
