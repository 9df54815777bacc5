"""Writing a proposal together: invitations, and who writes along."""
