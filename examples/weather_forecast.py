"""The source paper's weather task, learned forward-only: python examples/weather_forecast.py [WTH.csv] [UPDATES]

The temperature an hour ahead. The file is the Informer's WTH.csv (NOAA, hourly, 2010-2013). Without it the same
network forecasts the Mackey-Glass series.
"""

import sys
from pathlib import Path

import edge_anp
from edge_anp import tasks
from edge_anp.bench_paper import anchors, build

csv = Path(sys.argv[1]) if len(sys.argv) > 1 else None
updates = int(sys.argv[2]) if len(sys.argv) > 2 else 200
task = tasks.load("weather", csv) if csv and csv.is_file() else tasks.load("mackey_glass_forecast")

# 100 tanh neurons that read themselves, a linear output, no biases; of the weather, the difference to the last hour is learned
name, rate = ("rate-100-difference", 1e-3) if task.name == "weather" else ("rate-100", 1e-2)
net = build(name, task, seed=42)
rule = edge_anp.FeedbackANP(look_back=0)  # an error at every step, no step back through the network
history = edge_anp.train(net, task, rule, updates=updates, batch=32, rate=rate, seed=42)
print(f"{task.name}: test mean square error {edge_anp.evaluate(history.network, task.test):.6f}")
for name, error in anchors(task).items():
    print(f"  anchor, {name}: {error:.6f}")
