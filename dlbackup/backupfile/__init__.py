"""
One backup: frames, manifest, writer, reader, and the prover, the only maker of a `VerifiedBackup`.

Bytes of a file in, records out, and back. Where the file is kept is `stores`'s, where the rows come from `catalogs`'s.
"""
