"""What the admin's overview shows: `figures.overview` gathers it, as plain values."""
