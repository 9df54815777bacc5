"""Many votes from one address: slowed down, shown to planners, annulled with a reason that everybody reads."""
