"""
What DuckLake's catalogs are (spec), mean (fingerprint) and refer to (data files).

Pure: rows and definitions come in, facts come out. Who reads them from where is `catalogs`'s.
"""
