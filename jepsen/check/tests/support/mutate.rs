//! Ways to spoil a valid history.
