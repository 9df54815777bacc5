"""The staff's room: overview, jobs, mails, accounts."""
