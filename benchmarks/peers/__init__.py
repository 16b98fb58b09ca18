"""Side by side with other generators: one core for the generator, one for the server, figures and ratios of one run."""
