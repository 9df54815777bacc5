"""What planners take along: every contribution of a process as a table or for a map of their own."""
