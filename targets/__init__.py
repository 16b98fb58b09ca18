"""What is tested: the contract (one TOML file per service), request data, and the embedded reference services.

Public names: `contract.load`, `contract.Contract`, `payload.Payloads`, `control.Deployment`;
`reference/` holds kakao, alaw, encar, saju and llm, which `plimsoll serve` starts.
"""
