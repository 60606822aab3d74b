"""`python -m proxhermes` is `proxhermes`."""

from proxhermes.cli.main import run

if __name__ == "__main__":
    run()
