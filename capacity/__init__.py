"""From measurements to "buy this": laws, fits, the bottleneck's name, the plan or the refusal, its files, its record.

Public names: `plan.make_plan`, `plan.Plan`, `documents.RunDocuments`, `growth.Growth`, `prices.PriceBook`;
`prediction.predict`, `judgement` and `ledger` for verification; `deployment.of`, `manifests.render` and
`validation.validate` for deployment files. All are pure functions of documents, seeds and dates that are passed in.
This room may import measurements and the contract's types only.
"""
