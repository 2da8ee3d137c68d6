//! The gRPC service: thin handlers between the wire and the ledger. Layer 5.
