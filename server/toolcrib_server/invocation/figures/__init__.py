"""What calls of each offer of a model measured lately: taken here, from records, summed up."""
