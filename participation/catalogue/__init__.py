"""The catalogue of measures that the council decides on."""
