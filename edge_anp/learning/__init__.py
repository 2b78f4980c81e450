"""Learning rules. `rule.py` is the protocol that all of them follow, `fit.py` the one loop that runs any of them.

bptt.py          surrogate backpropagation through time, by autograd: the yardstick, for any network
feedback.py      feedback ANP: forward passes and a reward, for one hidden layer; in four parts:
  circuit.py       which networks it can learn
  output_error.py  from a label, from scores or from a reward to an error at the outputs
  probes.py        feedback learned from the spikes that a little noise would flip
  credit.py        from the outputs' error to every current of the hidden layer
"""
