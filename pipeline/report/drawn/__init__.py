"""What lies on the disk comes in; one file for a browser (`python -m pipeline.report`), and the
ensemble's figure, go out."""
