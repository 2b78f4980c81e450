"""Train on right or wrong alone, compile to ONNX, and prove that every bit is equal: python examples/deploy.py [FOLDER] [UPDATES]"""

import sys

from my_net import build

import edge_anp

folder, updates = (*sys.argv[1:], "build/deploy", "600")[:2] if len(sys.argv) > 1 else ("build/deploy", "600")
digits = edge_anp.load_task("digits")
reading = edge_anp.read(build(), digits.train.batch(range(4))[0])
edge_anp.train(reading.network, digits, edge_anp.FeedbackANP(signal="reward"), updates=int(updates))
compiled = edge_anp.compile_network(reading.network, "onnx", folder, digits.train)
verification = edge_anp.verify_artifact(folder, digits.test.rasters)
verification.check()
print(
    f"accuracy {edge_anp.evaluate(reading.network, digits.test):.3f}, every bit equal: {verification.to_json()['runners']}"
)
