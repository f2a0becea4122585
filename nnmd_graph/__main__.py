"""`python -m nnmd_graph` is `nnmd-graph`."""

from nnmd_graph.cli import main

if __name__ == "__main__":
    main()
