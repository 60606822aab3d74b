"""`python -m proxhermes.lab` is `proxhermes lab`."""

from proxhermes.lab.cli import lab

if __name__ == "__main__":
    lab(prog_name="python -m proxhermes.lab")
