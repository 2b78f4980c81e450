"""python -m edge_anp."""

from edge_anp.cli import main

main()
