"""The product's command line, for `python -m`."""

from kube_headroom.cli.main import main

if __name__ == "__main__":
    main()
