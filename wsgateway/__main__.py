"""`python -m wsgateway`."""

from wsgateway.cli import main

if __name__ == "__main__":
    main()
