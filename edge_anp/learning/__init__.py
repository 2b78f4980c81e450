"""Learning rules. `rule.py` is the protocol that all of them follow, `fit.py` the one loop that runs any of them.

presets.py       the rules by name, each one record of switches
bptt.py          surrogate backpropagation through time, by autograd: the yardstick
feedback.py      feedback ANP: forward passes and a reward; in parts:
  output_error.py  from a label, from scores or from a reward to an error at the outputs
  readout.py       where that error enters the network
  observed.py      what a run leaves behind for learning
  slopes.py        the derivatives of one layer's steps
  credit.py        from the error to every current of every layer, look-back D steps
  wiring.py        back along a connection, with one feedback or another
  probes.py        feedback learned from the spikes that a little noise would flip
  streaming.py     an error at every step, 2D steps remembered
perturbation.py  weight, node and activity-based node perturbation (weight_perturbation.py, eligibility.py)
decorrelation.py any rule, on decorrelated activity
trainer.py       a run: batches, checkpoints (checkpoint.py), machines that share it (parallel.py), integers (on_integers.py)
"""
