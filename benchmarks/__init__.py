"""Measured figures: a folder per question, `shared/` beneath; results/ keeps pages and figures."""
