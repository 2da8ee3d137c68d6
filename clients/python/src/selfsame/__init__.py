"""Client of Selfsame: digests (`selfsame.digesting`), calls (`Client`), payouts (`pay_rewards`), webhooks (`WebhookVerifier`).

The messages of the contract are in `selfsame.v1`. What calls the network is imported when it is used, so that digesting needs no gRPC.
"""

import importlib

_HOMES = {
    "Client": "client",
    "RetryPolicy": "client",
    "SelfsameError": "errors",
    "pay_rewards": "payouts",
    "Payment": "payouts",
    "PaymentFailed": "payouts",
    "WebhookVerifier": "webhooks",
    "WebhookRefused": "webhooks",
    "Digester": "digesting",
    "DigestError": "digesting",
    "DomainRules": "digesting",
    "ProgrammeKey": "digesting",
}

__all__ = sorted(_HOMES)


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module `selfsame` has no `{name}`")
    return getattr(importlib.import_module(f"selfsame.{_HOMES[name]}"), name)
