"""What every room stands on: command lines, YAML and signals come in; a frozen config, paths,
errors and files that are whole or not there go out.
"""
