"""What `serve` is made of. All of it lives as long as the platform: nothing here imports the application."""
