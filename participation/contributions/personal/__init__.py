"""What belongs to one person: their contributions in all processes, attached, exported, or left without a name."""
