"""A submission's runs come in; a folder that predicts without the data it was learnt from goes out,
and answers over HTTP.
"""
