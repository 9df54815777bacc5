"""What happens to accounts, by idea: entered, registering, links, sessions, factors, access, staff, leaving."""
