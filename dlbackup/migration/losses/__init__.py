"""
What engines' own migrations are known to lose: each loss with how it is found and how it is mended.

`known` lists them; the others hold their find and mend, named as the files of `health/rules` are.
"""
