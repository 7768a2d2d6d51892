"""`python -m r1kit` is `r1`."""

from r1kit.cli import main

if __name__ == "__main__":
    main()
