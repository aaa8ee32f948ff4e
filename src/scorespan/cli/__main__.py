"""`python -m scorespan.cli`, the same as the `scorespan` command."""

from scorespan.cli import main

if __name__ == "__main__":
    main()
