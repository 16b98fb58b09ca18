"""The gate: two versions compared in one paired run.

Blocks of a duet (`blocks`) become one difference each; `paired` estimates and tests them, `judging` says PASS, WARN,
FAIL, INCONCLUSIVE or BLIND, `course` runs the looks, the extension and the confirmation with a function that records.
"""
