"""List the commands: python -m pipeline."""

from pipeline import __doc__ as about
from pipeline import __version__

if __name__ == "__main__":
    print(f"foldstack {__version__}\n\n{about}")
    print("python -m pipeline.COMMAND --help says more about each.")
