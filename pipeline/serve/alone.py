"""Predict rows with the model in this folder: without a network, and without the data it learnt.

    python predict.py test.csv -o submission.csv --sample sample_submission.csv

The rows have the columns that the competition's test file has. --sample gives ids, their order and
the header, as a hidden test has its own; without it the rows are answered in their own order.
Packages that have to be there are listed in wheels.txt; Foldstack itself is in wheels/ and need not
be installed.
"""

import argparse
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Run the command; return its exit code."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("file", help="the rows: csv, tsv, jsonl, parquet, xlsx …")
    options.add_argument("-o", "--out", required=True, help="the answers, a csv")
    options.add_argument("--sample", default="", help="a sample submission for these rows")
    options.add_argument("--encoding", help="of the rows; default: that of the competition")
    args = options.parse_args()
    with tempfile.TemporaryDirectory() as code:
        for wheel in (HERE / "wheels").glob("foldstack-*.whl"):
            zipfile.ZipFile(wheel).extractall(code)
        sys.path.insert(0, code)
        from pipeline.base.command import run
        from pipeline.serve.predicting import predict_file

        return run(lambda _: predict_file(HERE, args.file, args.out, args.sample, args.encoding))


if __name__ == "__main__":
    raise SystemExit(main())
