"""`python -m jouleshift` is the command line."""

from jouleshift.cli import main

if __name__ == "__main__":
    main()
