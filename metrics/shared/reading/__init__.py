"""Reading the store: `reader.Reader` sums the lanes and puts the values into a layout."""
