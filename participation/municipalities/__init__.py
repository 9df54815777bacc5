"""Who runs processes: a town, or a Kreis above its towns."""
