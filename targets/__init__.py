"""One folder per machine, the same rooms in each; found through the entry-point group `edge_anp.targets`, never imported by name."""
