"""From measurements to "buy this": laws, fits, the bottleneck's name, the plan or the refusal.

Public names: `documents.RunDocuments`, `plan.make_plan`, `plan.Plan`, `growth.Growth`. Everything here is a pure
function of documents, seeds and dates that are passed in; it may import measurements and the contract's types only.
"""
