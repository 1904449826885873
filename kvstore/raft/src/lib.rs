//! The openraft glue: types, log store, state machine, peer network, membership.
