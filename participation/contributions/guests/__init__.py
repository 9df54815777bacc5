"""Who writes without an account: their receipts, their name, their address."""
