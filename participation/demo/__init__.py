"""The demo town: invented people in a real place."""
