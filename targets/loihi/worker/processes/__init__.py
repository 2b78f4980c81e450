"""Our Lava processes and nothing else: to find a model, Lava's compiler executes every file of a process's folder."""
